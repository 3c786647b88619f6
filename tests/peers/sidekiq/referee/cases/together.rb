# Workers of both kinds on one queue.
module Together
  COUNT = 1_000

  def self.judge(report, stage)
    ours = 2.times.map { stage.forebay(queues: ["shared"], concurrency: 5) }
    ruby = stage.sidekiq(queues: ["shared"])
    pushing = Thread.new { COUNT.times { |n| Plain.set(queue: "shared").perform_async(n) } }
    lines = COUNT.times.map { |n| "[#{n}]\n" }
    lines.each_slice(100) { |some| stage.jobs("bulk", "Plain", "--queue", "shared", input: some.join) }
    pushing.join
    wait_until("all have run", 60) { stage.ran_in_ruby.size + stage.deliveries.given.size >= 2 * COUNT }
    report.equal("both kinds stop in order", [0, 0, 0], [*ours, ruby].map(&:stop))
    runs = stage.runs
    report.equal("each of #{2 * COUNT} jobs runs once", [2 * COUNT, 2 * COUNT], [runs.size, runs.uniq.size])
    report.holds("both kinds had a share", [stage.ran_in_ruby.size, stage.deliveries.given.size].min.positive?, "some each", [stage.ran_in_ruby.size, stage.deliveries.given.size])
    day = Time.now.utc.strftime("%Y-%m-%d")
    counts = ["stat:processed", "stat:processed:#{day}"].map { |key| stage.redis.get(key).to_i }
    report.equal("`stat:processed` is the sum, and so is the day's", [2 * COUNT, 2 * COUNT], counts)
    ttl = stage.redis.ttl("stat:processed:#{day}")
    report.holds("the day's is kept for five years", (157_680_000 - 600..157_680_000).cover?(ttl), "157680000", ttl)
    report.equal("`Stats::History` reads the day", {day => 2 * COUNT}, Sidekiq::Stats::History.new(1).processed)
    report.equal("nothing is left", [0, 0, 0], [Sidekiq::Queue.new("shared").size, stage.stats["running"], Sidekiq::RetrySet.new.size])
  end
end
