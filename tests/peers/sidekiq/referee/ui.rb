# Sidekiq's own Web UI on Puma, and somebody who uses it: real requests, its cookie, its CSRF token.
require "cgi"
require "net/http"
require "puma"
require "puma/server"
require "rack"
require "securerandom"
require "sidekiq/web"

class Ui
  def initialize
    ui = Rack::Builder.new do
      use Rack::Session::Cookie, secret: SecureRandom.hex(32), same_site: true
      run Sidekiq::Web
    end
    server = Puma::Server.new(ui.to_app, Puma::Events.strings, min_threads: 2, max_threads: 8)
    @port = server.add_tcp_listener("127.0.0.1", 0).addr[1]
    server.run
  end

  def url = "http://127.0.0.1:#{@port}"

  # The text of a page, which must be there.
  def page(path)
    answer = ask(Net::HTTP::Get.new(path))
    raise "GET #{path}: #{answer.code} #{answer.body[0, 2_000]}" unless answer.code == "200"
    answer.body.dup.force_encoding("UTF-8")
  end

  # Presses a button: a form of `on`, its token, where the form says.
  def press(on, to, fields)
    token = page(on)[/name='authenticity_token' value='([^']+)'/, 1] or raise "no token on #{on}"
    request = Net::HTTP::Post.new(to)
    request.set_form_data({"authenticity_token" => CGI.unescapeHTML(token), **fields}.to_a)
    answer = ask(request)
    raise "POST #{to}: #{answer.code} #{answer.body[0, 2_000]}" unless answer.code == "302"
    answer
  end

  # Without a token it must refuse.
  def press_without_token(to) = ask(Net::HTTP::Post.new(to)).code

  private

  def ask(request)
    request["Cookie"] = @cookie if @cookie
    answer = Net::HTTP.start("127.0.0.1", @port, read_timeout: 20) { |http| http.request(request) }
    @cookie = answer["Set-Cookie"].split(";").first if answer["Set-Cookie"]
    answer
  end
end
