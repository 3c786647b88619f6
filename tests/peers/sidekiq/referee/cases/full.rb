# A Redis that refuses to write: what fails then is lost in Ruby, and not here.
module Full
  COUNT = 50

  def self.judge(report, stage)
    before = stage.redis
    stage.begin_redis("--maxmemory-policy", "noeviction")
    ours(report, stage)
    stage.clear
    in_ruby(report, stage)
    before.close
  end

  def self.ours(report, stage)
    worker = stage.forebay(queues: ["full"])
    ids = push(stage)
    fill(stage)
    wait_until("all have been tried") { stage.runs.uniq.size == COUNT }
    kept = wait_until("they are in `retry`") { all = Sidekiq::RetrySet.new.map(&:jid); all if all.size == COUNT }
    report.equal("on a full Redis #{COUNT} of #{COUNT} jobs that fail are kept", ids.sort, kept.sort)
    report.equal("after one try each", COUNT, stage.runs.size)
    # It counts them with a beat, and so it has beaten on a full server.
    wait_until("it beats") { Sidekiq::Stats.new.failed == COUNT }
    report.holds("and the Web UI still shows the process", Ui.new.page("/busy").include?(worker.identity), worker.identity, "not there")
    empty(stage)
    report.equal("it stops in order", 0, worker.stop)
  end

  # The same with Ruby Sidekiq, for comparison: no law.
  def self.in_ruby(report, stage)
    ruby = stage.sidekiq(queues: ["full"])
    push(stage)
    fill(stage)
    wait_until("all have been tried") { stage.ran_in_ruby.size >= COUNT }
    empty(stage)
    ruby.stop
    left = Sidekiq::RetrySet.new.size + Sidekiq::Queue.new("full").size
    puts "note    full: Ruby Sidekiq lost #{COUNT - left} of #{COUNT}"
  end

  # Pushed while there is room, run when there is none: a pause of all workers is a name of a queue.
  def self.push(stage)
    COUNT.times.map { |n| Fails.set("queue" => "waiting").perform_async(n) }
  end

  # Nothing more is taken, and then the jobs are where they are run: by a command that a full server does not refuse.
  def self.fill(stage)
    stage.redis.sadd("queues", "full")
    stage.redis.multi do |all|
      all.config(:set, "maxmemory", "1")
      all.rename("queue:waiting", "queue:full")
    end
  end

  def self.empty(stage) = stage.redis.config(:set, "maxmemory", "0")
end
