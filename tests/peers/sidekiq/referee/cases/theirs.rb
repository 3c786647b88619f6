# Ruby pushes, Forebay runs: each job once, its payload byte for byte.
module Theirs
  HOSTILE = [
    1, -1, 0, 1.5, 0.1, 1e300, 12_345_678_901_234_567_890, true, false, nil, "", "plain", "\u00e9\u{1f600}", "</script>&\"'\\/",
    "\u0000\u0001\u001f\u007f\u2028", "a" * 5_000, [], {}, [[1, [2, {"a" => [nil]}]]], {"b" => 1, "a" => {"x" => 1.0}}
  ].freeze
  WRAPPER = "ActiveJob::QueueAdapters::SidekiqAdapter::JobWrapper"

  def self.judge(report, stage)
    HOSTILE.each { |argument| Plain.perform_async(argument) }
    Plain.set(queue: "default", tags: ["a", "b"], "cattr" => {"user" => 7}, "bid" => "b-1", "custom" => {"f" => 1.50}).perform_async(*HOSTILE)
    Sidekiq::Client.push_bulk("class" => Plain, "args" => (1..100).map { |n| [n] })
    Sidekiq::Client.push("class" => WRAPPER, "wrapped" => "MailJob", "queue" => "default", "args" => [active_job])
    pushed = stage.raw_queue("default").reverse
    Plain.perform_in(0.5, "in")
    Plain.perform_at(Time.now + 0.7, "at")
    Sidekiq::Client.push_bulk("class" => Plain, "args" => (1..10).map { |n| ["later", n] }, "at" => Time.now.to_f + 0.6)
    later = stage.raw_set("schedule")
    report.equal("what is pushed for later waits in `schedule`", 12, later.size)

    worker = stage.forebay(queues: ["default"])
    count = pushed.size + later.size
    wait_until("all have run") { stage.deliveries.given.size >= count }
    report.equal("the worker stops in order", 0, worker.stop)
    given = stage.deliveries.given
    report.equal("each job of `perform_async`, `push` and `push_bulk` arrives once and byte for byte", pushed.map(&:b).sort,
      given.reject { |it| later.any? { |one| id(one) == id(it) } }.map(&:b).sort)
    due = given.select { |it| later.any? { |one| id(one) == id(it) } }
    report.equal("each job of `perform_in`, `perform_at` and bulk with `at` arrives once", later.map { |it| id(it) }.sort, due.map { |it| id(it) }.sort)
    is_same = due.all? do |it|
      # `enqueued_at` is added at the end, and nothing else is touched.
      was = later.find { |one| id(one) == id(it) }
      it.b =~ /\A#{Regexp.escape(was.b.chomp("}"))},"enqueued_at":\d+\.\d+\}\z/n
    end
    report.holds("they are what they were, with `enqueued_at` at the end", is_same, later.first, due.first.to_s)
    report.equal("nothing is left", [0, 0, 0, 0], ["queue:default", "schedule", "retry", "dead"].map { |key| size(stage, key) })
    report.equal("`Sidekiq::Stats#processed` counts them", count, Sidekiq::Stats.new.processed)
    commands(report, stage)
  end

  # The same with a command for each job.
  def self.commands(report, stage)
    ids = HOSTILE.map { |argument| Plain.set(queue: "command").perform_async(argument) }
    pushed = stage.raw_queue("command").to_h { |payload| [id(payload), payload.b] }
    worker = stage.forebay(queues: ["command"], how: ["--", "#{Stage::APPLICATION}/command"])
    wait_until("all have run") { Sidekiq::Stats.new.processed >= HOSTILE.size + 134 }
    worker.stop
    given = ids.to_h { |id| [id, File.binread("#{stage.work}/given-#{id}")] }
    report.equal("a command reads each job byte for byte", pushed.sort, given.sort)
  end

  def self.active_job
    {"job_class" => "MailJob", "job_id" => "11111111-2222-4333-8444-555555555555", "provider_job_id" => nil, "queue_name" => "default",
     "priority" => nil, "arguments" => [{"_aj_globalid" => "gid://app/User/7"}, {"a" => 1, "_aj_symbol_keys" => ["a"]}], "executions" => 0,
     "exception_executions" => {}, "locale" => "en", "timezone" => "UTC", "enqueued_at" => "2026-11-26T12:00:00Z"}
  end

  def self.id(payload) = JSON.parse(payload)["jid"]

  def self.size(stage, key) = key.start_with?("queue:") ? stage.redis.llen(key) : stage.redis.zcard(key)
end
