# The buttons of Sidekiq's Web UI work on what Forebay does, and nothing is lost or run twice by them.
module Buttons
  def self.judge(report, stage)
    @report, @stage, @ui = report, stage, Ui.new
    processes
    queues
    scheduled
    failures("/retries", "retry", {})
    failures("/morgue", "dead", {"retry" => 0})
  end

  def self.processes
    first, second, third = 3.times.map { |n| @stage.forebay(queues: ["button-#{n}"]) }
    running = @stage.jobs("push", "Waits", "--queue", "button-0")
    wait_until("it runs") { !@stage.deliveries.given.empty? }
    press("/busy", "/busy", "identity" => first.identity, "quiet" => "1")
    wait_until("the first is quiet") { quiet?(first) }
    @report.equal("Quiet quiets one process", [true, false, false], [first, second, third].map { |it| quiet?(it) })
    waits = @stage.jobs("push", "Plain", "--queue", "button-0")
    press("/busy", "/busy", "identity" => second.identity, "stop" => "1")
    @report.equal("Stop ends one process in order", 0, second.ended)
    @report.equal("and no other", [false, false], [first.ended?, third.ended?])
    press("/busy", "/busy", "quiet" => "1")
    wait_until("all are quiet") { quiet?(third) }
    @report.equal("Quiet All quiets the others", [true, true], [quiet?(first), quiet?(third)])
    @report.equal("who is quiet takes nothing and goes on with what runs", [[running], 1], [@stage.runs, Sidekiq::Queue.new("button-0").size])
    press("/busy", "/busy", "stop" => "1")
    @stage.let_go
    @report.equal("Stop All ends all of them in order", [0, 0], [first.ended, third.ended])
    @report.equal("nothing was lost: what was not taken waits", [[running], [waits]], [@stage.runs, Sidekiq::Queue.new("button-0").map(&:jid)])
    @report.equal("and no process is shown", 0, Sidekiq::ProcessSet.new.size)
    @stage.clear
  end

  def self.queues
    ids = 6.times.map { |n| @stage.jobs("push", "Plain", n.to_s, "--queue", "page") }
    job = Sidekiq::Queue.new("page").find_job(ids[2])
    press("/queues/page", "/queues/page/delete", "key_val" => job.value)
    @report.equal("Delete takes one job out of its queue", ids - [ids[2]], Sidekiq::Queue.new("page").map(&:jid).reverse)
    # Ours lies there marked; Ruby's list is as long as before, and no number of ours is wrong.
    @stage.jobs("delete", ids[1], "--queue", "page")
    worker = @stage.forebay(queues: ["page"])
    wait_until("they have run") { @stage.redis.llen("queue:page").zero? && @stage.stats["running"].zero? }
    @report.equal("what is left runs once, and what was deleted does not", ids.values_at(0, 3, 4, 5), @stage.runs.sort_by { |id| ids.index(id) })
    worker.stop
    3.times { |n| @stage.jobs("push", "Plain", n.to_s, "--queue", "page") }
    gone = Sidekiq::Queue.new("page").first.jid
    @stage.jobs("delete", gone, "--queue", "page")
    press("/queues", "/queues/page", "delete" => "1")
    @report.equal("the button of a queue empties it", [0, []], [Sidekiq::Queue.new("page").size, Sidekiq::Queue.all.map(&:name)])
    @stage.jobs("push", "Plain", "--queue", "page")
    @report.equal("and what comes after it is counted right", [1, 1], [@stage.stats["enqueued"], Sidekiq::Queue.new("page").size])
    @stage.clear
  end

  def self.scheduled
    ids = 4.times.map { |n| @stage.jobs("push", "Plain", n.to_s, "--queue", "later", "--in", "1h") }
    set = Sidekiq::ScheduledSet.new
    press("/scheduled", "/scheduled", "key[]" => key(set, ids[0]), "delete" => "1")
    press("/scheduled", "/scheduled", "key[]" => key(set, ids[1]), "add_to_queue" => "1")
    press("/scheduled/#{key(set, ids[2])}", "/scheduled/#{key(set, ids[2])}", "add_to_queue" => "1")
    @report.equal("Delete and Add to queue do so", [[ids[3]], ids[1..2]], [set.map(&:jid), Sidekiq::Queue.new("later").map(&:jid).reverse])
    worker = @stage.forebay(queues: ["later"])
    wait_until("they have run") { @stage.stats["processed"] == 2 }
    @report.equal("each runs once", ids[1..2].sort, @stage.runs.sort)
    worker.stop
    @stage.clear
  end

  # Of jobs that our worker failed: each button, one by one and on all.
  def self.failures(path, name, options)
    set = name == "retry" ? Sidekiq::RetrySet.new : Sidekiq::DeadSet.new
    worker = @stage.forebay(queues: ["fails"])
    fail_some = lambda do |count|
      @stage.break_again
      ids = count.times.map { |n| Fails.set("queue" => "fails", **options).perform_async(n) }
      wait_until("they have failed") { (ids - set.map(&:jid)).empty? }
      @stage.deliveries.forget
      ids
    end
    ids = fail_some.call(5)
    press(path, path, "key[]" => key(set, ids[0]), "delete" => "1")
    @stage.mend
    press(path, path, "key[]" => key(set, ids[1]), "retry" => "1")
    wait_until("it runs") { @stage.runs.include?(ids[1]) }
    press("#{path}/#{key(set, ids[2])}", "#{path}/#{key(set, ids[2])}", "retry" => "1")
    wait_until("it runs") { @stage.runs.include?(ids[2]) }
    left = ids[3..4]
    if name == "retry"
      press(path, path, "key[]" => key(set, ids[3]), "kill" => "1")
      left = [ids[4]]
      @report.equal("#{path}: Kill moves one to the dead, Delete and Retry do so", [[ids[3]], left], [Sidekiq::DeadSet.new.map(&:jid), set.map(&:jid)])
    else
      @report.equal("#{path}: Delete and Retry do so", left, set.map(&:jid).sort_by { |id| ids.index(id) })
    end
    press(path, "#{path}/all/retry", {})
    wait_until("they run") { (left - @stage.runs).empty? }
    wait_until("they are over") { @stage.stats["running"].zero? }
    @report.equal("#{path}: what was retried, one by one and all, ran once", (ids[1..2] + left).sort, @stage.runs.sort)
    @report.equal("#{path}: and is nowhere any more", [0, 0], [Sidekiq::RetrySet.new.size, Sidekiq::Queue.new("fails").size])
    Sidekiq::DeadSet.new.clear
    if name == "retry"
      ids = fail_some.call(3)
      press(path, "#{path}/all/kill", {})
      @report.equal("#{path}: Kill All moves all to the dead", [0, ids.sort], [set.size, Sidekiq::DeadSet.new.map(&:jid).sort])
      Sidekiq::DeadSet.new.clear
    end
    fail_some.call(3)
    press(path, "#{path}/all/delete", {})
    @report.equal("#{path}: Delete All empties it", 0, set.size)
    worker.stop
    @stage.clear
  end

  def self.press(*words) = @ui.press(*words.first(2), words.last)

  def self.key(set, id)
    entry = set.find_job(id) or raise "#{id} is not in #{set.name}"
    "#{entry.score}-#{id}"
  end

  def self.quiet?(process)
    found = Sidekiq::ProcessSet.new.find { |it| it.identity == process.identity }
    found&.stopping? || false
  end
end
