# What the trial stands on: a Redis of its own, processes of Forebay and of Ruby Sidekiq, and what they ran.
require "fileutils"
require "json"
require "open3"
require "redis"

class Stage
  FOREBAY = ENV.fetch("FOREBAY_BIN")
  APPLICATION = File.expand_path("../application", __dir__)
  END_SECONDS = 40

  attr_reader :work, :deliveries, :url, :redis

  def initialize(work)
    @work = work
    @deliveries = Deliveries.new(work)
    @started = []
    @names = 0
    begin_redis
  end

  # A server with these options, for what comes from here on. The one before it stays until the trial is over.
  def begin_redis(*options)
    folder = "#{@work}/redis-#{@names += 1}"
    FileUtils.mkdir_p(folder)
    spawn("redis-server", "--port", "0", "--unixsocket", "#{folder}/socket", "--dir", folder, "--save", "", *options,
      out: "#{folder}/log", err: [:child, :out])
    @url = "unix://#{folder}/socket"
    @redis = Redis.new(path: "#{folder}/socket", timeout: 10)
    wait_until("Redis answers") { begin @redis.ping; rescue Redis::BaseConnectionError; nil end }
    Sidekiq.redis = {url: @url, size: 20}
  end

  # Nothing is left of the case before.
  def clear
    @started.each { |process| process.kill unless process.ended? }
    @started.clear
    @redis.flushall
    @deliveries.forget
    FileUtils.rm_f(["#{@work}/ran", "#{@work}/mended", "#{@work}/go", *Dir["#{@work}/given-*"]])
  end

  def mend = FileUtils.touch("#{@work}/mended")
  def break_again = FileUtils.rm_f("#{@work}/mended")
  def let_go = FileUtils.touch("#{@work}/go")

  # A worker of ours that delivers to `deliveries`; ready when it is seen.
  def forebay(queues:, concurrency: 10, how: ["--http", @deliveries.url], options: [])
    process = start("forebay", {"FOREBAY_JOBS_STORE" => @url}, FOREBAY, "jobs", "work",
      *queues.flat_map { |queue| ["--queue", queue] }, "--concurrency", concurrency.to_s, *options, *how)
    await(process)
  end

  # A process of Ruby Sidekiq; ready when it is seen.
  def sidekiq(queues:, concurrency: 5)
    process = start("sidekiq", {"REDIS_URL" => @url, "RUBYOPT" => "-W0"}, "sidekiq", "-r", "#{APPLICATION}/jobs.rb", "-e", "production",
      "-c", concurrency.to_s, *queues.flat_map { |queue| ["-q", queue] })
    await(process)
  end

  # `forebay jobs …`, which must end well; what it prints.
  def jobs(*words, input: "")
    said, problem, status = Open3.capture3({"FOREBAY_JOBS_STORE" => @url}, "timeout", "30", FOREBAY, "jobs", *words, stdin_data: input)
    raise "forebay jobs #{words.join(" ")}: #{status}: #{problem}" unless status.success?
    said.strip
  end

  # The same when the answer may be no: what it prints, and its exit code.
  def asked(*words)
    said, problem, status = Open3.capture3({"FOREBAY_JOBS_STORE" => @url}, "timeout", "30", FOREBAY, "jobs", *words)
    [said + problem, status.exitstatus]
  end

  def stats = JSON.parse(jobs("stats", "--json"))

  # What Ruby ran: queue, id and payload of each run.
  def ran_in_ruby
    lines = File.exist?("#{@work}/ran") ? File.readlines("#{@work}/ran", chomp: true) : []
    lines.map { |line| line.split("\t", 3) }
  end

  # Ids of all runs, wherever they were.
  def runs = ran_in_ruby.map { |_, id, _| id } + @deliveries.given.map { |payload| JSON.parse(payload)["jid"] }

  def raw_queue(name) = @redis.lrange("queue:#{name}", 0, -1)
  def raw_set(name) = @redis.zrange(name, 0, -1)

  def last_words
    @started.map { |process| "last lines of #{process.name}:\n#{process.last_words}" }.join("\n")
  end

  private

  def start(name, environment, *command)
    log = "#{@work}/#{name}-#{@names += 1}.log"
    pid = spawn(environment, *command, in: "/dev/null", out: log, err: [:child, :out])
    process = Started.new(name, pid, log)
    @started << process
    process
  end

  def await(process)
    wait_until("#{process.name} is seen") do
      raise "#{process.name} ended: #{process.last_words}" if process.ended?
      process.identity ||= @redis.smembers("processes").find { |it| it.split(":")[1] == process.pid.to_s }
    end
    process
  end
end

# A process that was started.
class Started
  attr_reader :name, :pid
  attr_accessor :identity

  def initialize(name, pid, log)
    @name, @pid, @log = name, pid, log
  end

  def ended?
    return true if @status
    _, @status = Process.waitpid2(@pid, Process::WNOHANG)
    !@status.nil?
  end

  # Ends in order; answers its exit code.
  def stop
    Process.kill("TERM", @pid) unless ended?
    ended
  end

  # Waits until it has ended, by whoever's wish.
  def ended
    wait_until("#{@name} ends", Stage::END_SECONDS) { ended? }
    @status.exitstatus
  end

  def kill
    Process.kill("KILL", @pid) unless ended?
    ended
  end

  def last_words = File.readlines(@log, chomp: true).last(30).join("\n")
end
