# What the guide tells to put into an application is put into one.
require "net/http"
require "securerandom"

module Guide
  PATH = File.expand_path("../../../../../docs/guides/from-sidekiq.md", __dir__)
  RAN = Queue.new

  class Says
    include Sidekiq::Worker
    def perform(*args) = RAN << [jid, args]
  end

  def self.judge(report, stage)
    Object.class_eval(File.read(PATH)[/^```ruby\n(.*?)^```$/m, 1], PATH)
    secret = "#{stage.work}/secret"
    File.write(secret, "whsec_#{[SecureRandom.bytes(32)].pack("m0")}\n", perm: 0o600)
    url = serve(ForebayJobs.new(File.read(secret)))
    how = ["--http", url, "--secret-file", secret]
    worker = stage.forebay(queues: ["guide"], how: how)
    id = Says.set(queue: "guide").perform_async(7, {"name" => "Ada \u00e9"})
    ran = wait_until("it runs") { RAN.pop(true) rescue nil }
    report.equal("the address of the guide runs a job", [id, [7, {"name" => "Ada \u00e9"}]], ran)
    failed = Fails.set(queue: "guide", backtrace: true).perform_async
    entry = wait_until("it fails") { Sidekiq::RetrySet.new.find_job(failed) }
    report.holds("of one that fails the Web UI shows the error of Ruby", entry["error_message"].include?("ArgumentError: it fails in Ruby"), "ArgumentError", entry["error_message"])
    report.holds("and where it was", entry.error_backtrace.any? { |line| line.include?("application/jobs.rb") }, "a line of jobs.rb", entry.error_backtrace)
    forged = Net::HTTP.post(URI(url), entry.value, "webhook-id" => failed, "webhook-timestamp" => Time.now.to_i.to_s, "webhook-signature" => "v1,AAAA")
    report.equal("and nothing without a signature", ["401", "401"], [forged.code, Net::HTTP.post(URI(url), entry.value).code])
    report.equal("the worker stops in order", 0, worker.stop)
  end

  def self.serve(app)
    server = Puma::Server.new(app, Puma::Events.strings, min_threads: 1, max_threads: 4)
    listener = server.add_tcp_listener("127.0.0.1", 0)
    server.run
    "http://127.0.0.1:#{listener.addr[1]}/jobs"
  end
end
