# Forebay pushes, Ruby reads and runs.
module Ours
  ARGUMENTS = ['7', '-0.5', '1e300', '12345678901234567890', '123456789012345678901234567890', 'null', '""', '"\u00e9\u0000\u001f\u007f</b>&\"\\\\/"', '[]', '{}', '{"b": [1.0, {"a": null}]}'].freeze

  def self.judge(report, stage)
    began = Time.now.to_f
    single = stage.jobs("push", "Plain", *ARGUMENTS, "--queue", "ruby")
    stage.jobs("push", "Plain", "--queue", "ruby", "--retry", "3")
    stage.jobs("push", "Plain", "--queue", "ruby", "--retry", "false")
    bulk = stage.jobs("bulk", "Plain", "--queue", "ruby", input: (1..1_500).map { |n| "[#{n}]\n" }.join)
    report.equal("`bulk` says how many", "1500 pushed, 0 there already", bulk)
    stage.jobs("push", "Plain", '"once"', "--queue", "ruby", "--unique-for", "1h")
    report.equal("a second unique one is not taken", 1, stage.asked("push", "Plain", '"once"', "--queue", "ruby", "--unique-for", "1h").last)
    stage.jobs("push", "Plain", '"in"', "--queue", "ruby", "--in", "2s")
    stage.jobs("push", "Plain", '"at"', "--queue", "ruby", "--at", (Time.now + 2).utc.iso8601(3))
    far = stage.jobs("push", "Plain", '"far"', "--queue", "ruby", "--in", "1d")
    read(report, stage, single, began)
    move(report, far)
    run(report, stage, single)
  end

  # As Ruby's API reads it before anybody runs it.
  def self.read(report, stage, single, began)
    queue = Sidekiq::Queue.new("ruby")
    report.holds("`Sidekiq::Queue#latency` is right", (0..Time.now.to_f - began).cover?(queue.latency), "0 to #{Time.now.to_f - began} s", queue.latency)
    report.equal("`Sidekiq::Queue.all` and `#size` see them", [["ruby", 1_504]], Sidekiq::Queue.all.map { |it| [it.name, it.size] })
    job = queue.find_job(single)
    report.equal("`JobRecord` reads class, arguments and queue", ["Plain", JSON.parse("[#{ARGUMENTS.join(",")}]"), "ruby"], [job.klass, job.args, job.queue])
    times = [job.created_at.to_f, job.enqueued_at.to_f]
    report.holds("`created_at` and `enqueued_at` are now", times.all? { |it| (began - 1..Time.now.to_f + 1).cover?(it) }, "after #{began}", times)
    all = stage.raw_queue("ruby") + stage.raw_set("schedule")
    # `SortedEntry#reschedule` writes a job anew, and would double one that is written otherwise. Numbers such as 1e300
    # are the caller's own, and stay as they are.
    odd = all.reject { |payload| JSON.generate(JSON.parse(payload)) == payload || payload.include?("1e300") }
    report.equal("what is pushed is written as Ruby writes it", [], odd.first(3))
    waits = Sidekiq::ScheduledSet.new.map { |entry| [entry.args, (entry.at.to_f - began).round(-1)] }
    report.equal("`ScheduledSet` reads when", [[["at"], 0], [["far"], 86_400], [["in"], 0]], waits.sort_by { |it| it.first.first })
  end

  def self.move(report, far)
    set = Sidekiq::ScheduledSet.new
    set.find_job(far).reschedule(Time.now + 1)
    report.equal("`SortedEntry#reschedule` moves it and doubles nothing", 1, set.count { |entry| entry.jid == far })
  end

  def self.run(report, stage, single)
    sidekiq = stage.sidekiq(queues: ["ruby"])
    wait_until("all have run", 60) { stage.ran_in_ruby.size >= 1_507 && Sidekiq::Queue.new("ruby").size.zero? }
    report.equal("Ruby Sidekiq stops in order", 0, sidekiq.stop)
    ran = stage.ran_in_ruby
    report.equal("Ruby runs each once", [1_507, 1_507], [ran.size, ran.map { |_, id, _| id }.uniq.size])
    report.equal("with its arguments", JSON.parse("[#{ARGUMENTS.join(",")}]"), JSON.parse(ran.find { |_, id, _| id == single }.last)["args"])
    report.equal("nothing is left", [0, 0, 0], [Sidekiq::ScheduledSet.new.size, Sidekiq::RetrySet.new.size, Sidekiq::DeadSet.new.size])
  end
end
