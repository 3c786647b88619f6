# What Ruby does for itself does not hurt Forebay.
module Harmless
  def self.judge(report, stage)
    worker = stage.forebay(queues: ["calm"])
    3.times { Sidekiq::ProcessSet.new }
    report.equal("`ProcessSet.new` leaves us where we are", [worker.identity], Sidekiq::ProcessSet.new.map(&:identity))
    running = stage.jobs("push", "Waits", "--queue", "calm")
    wait_until("it is seen to run") { Sidekiq::Workers.new.size == 1 }
    work = Sidekiq::Workers.new.first
    report.equal("`Workers` reads what runs", [worker.identity, "calm", running], [work[0], work[2]["queue"], work[2]["payload"]["jid"]])
    stats = Sidekiq::Stats.new
    report.equal("`Stats` counts", [1, 1, 0], [stats.processes_size, stats.workers_size, stats.enqueued])
    while_it_runs(report, stage, worker, running)
    stopped(report, stage)
    poller(report, stage)
    cleared(report, stage)
  end

  # A queue that Ruby empties while we run one of its jobs.
  def self.while_it_runs(report, stage, worker, running)
    stage.jobs("push", "Plain", "--queue", "calm-2")
    Sidekiq::Queue.new("calm").clear
    Sidekiq::Queue.new("calm-2").clear
    report.equal("`Queue#clear` takes what waits, and not what runs", [1, 0], stage.stats.values_at("running", "enqueued"))
    stage.let_go
    wait_until("it is done") { stage.stats["running"].zero? }
    report.equal("which ends once", [running], stage.runs)
    worker.stop
    stage.clear
  end

  # What goes back to a queue that Ruby forgot is seen again.
  def self.stopped(report, stage)
    worker = stage.forebay(queues: ["calm"], options: ["--grace", "500ms"])
    running = stage.jobs("push", "Waits", "--queue", "calm")
    given = wait_until("it runs") { stage.deliveries.given.first }
    Sidekiq::Queue.new("calm").clear
    report.equal("a worker stops within its grace", 0, worker.stop)
    report.equal("what it had not ended goes back byte for byte", [given.b], stage.raw_queue("calm").map(&:b))
    report.equal("what goes back to a queue that Ruby forgot is seen there", [["calm"], [running]], [Sidekiq::Queue.all.map(&:name), Sidekiq::Queue.new("calm").map(&:jid)])
    stage.clear
  end

  # Ruby's scheduler takes from our schedule while we do.
  def self.poller(report, stage)
    ruby = stage.sidekiq(queues: ["ruby"])
    worker = stage.forebay(queues: ["calm"])
    stage.jobs("bulk", "Plain", "--queue", "calm", "--in", "2s", input: (1..200).map { |n| "[#{n}]\n" }.join)
    stage.jobs("bulk", "Plain", "--queue", "ruby", "--in", "2s", input: (1..200).map { |n| "[#{n}]\n" }.join)
    wait_until("all have run", 60) { stage.runs.size >= 400 }
    report.equal("both stop in order", [0, 0], [worker.stop, ruby.stop])
    report.equal("two schedulers of two kinds move each job once", [400, 400, 0], [stage.runs.size, stage.runs.uniq.size, Sidekiq::ScheduledSet.new.size])
    stage.clear
  end

  def self.cleared(report, stage)
    worker = stage.forebay(queues: ["calm"])
    ids = 5.times.map { |n| Fails.set(queue: "calm").perform_async(n) }
    retries = Sidekiq::RetrySet.new
    wait_until("they have failed") { retries.size == 5 }
    retries.find_job(ids[0]).delete
    report.equal("`RetrySet` `delete` takes out one", 4, retries.size)
    retries.clear
    report.equal("`RetrySet#clear` takes out all", [0, 0], [retries.size, stage.stats["retries"]])
    Plain.set(queue: "other").perform_async(1)
    report.holds("`JobRecord#delete` takes out one", Sidekiq::Queue.new("other").first.delete)
    Plain.set(queue: "calm").perform_async("after")
    wait_until("the worker goes on") { stage.deliveries.given.any? { |it| it.include?("after") } }
    report.equal("and the worker goes on and stops in order", 0, worker.stop)
  end
end
