# The application to which Forebay delivers jobs: it keeps what it was given, and answers as the class of the job says.
require "json"
require "puma"
require "puma/events"
require "puma/server"

class Deliveries
  LONGEST_WAIT = 60

  attr_reader :url

  def initialize(work)
    @work = work
    @lock = Mutex.new
    @given = []
    @server = Puma::Server.new(method(:answer), Puma::Events.strings, min_threads: 32, max_threads: 64)
    listener = @server.add_tcp_listener("127.0.0.1", 0)
    @url = "http://127.0.0.1:#{listener.addr[1]}/jobs"
    @server.run
  end

  # Payloads in the order in which they came, byte for byte.
  def given = @lock.synchronize { @given.dup }

  def forget = @lock.synchronize { @given.clear }

  private

  def answer(env)
    body = env["rack.input"].read
    @lock.synchronize { @given << body }
    case env["HTTP_FOREBAY_JOB_CLASS"]
    when "Fails"
      return [500, {}, ["it fails over HTTP: \u00e9 \"quoted\" </b>\nat line 2"]] unless File.exist?("#{@work}/mended")
    when "Waits"
      wait_until("the job may end", LONGEST_WAIT) { File.exist?("#{@work}/go") }
    end
    [204, {}, []]
  end
end
