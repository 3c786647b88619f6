# A job that fails goes from one to the other and back, and stays what it was.
module Failures
  FIELDS = {"cattr" => {"user" => 7, "n" => 1.50}, "tags" => ["a"], "bid" => "b-1", "custom" => [nil, 12_345_678_901_234_567_890]}.freeze
  OF_ERROR = %w[error_message error_class failed_at retry_count retried_at error_backtrace].freeze

  def self.judge(report, stage)
    @stage, @report = stage, report
    ours = stage.forebay(queues: ["ours"])
    ruby = stage.sidekiq(queues: ["ruby"])
    from_us_to_ruby
    from_ruby_to_us
    again_and_again
    dead_in_ruby
    dead_with_us
    by_command
    @report.equal("both stop in order", [0, 0], [ours.stop, ruby.stop])
  end

  def self.push(options) = Fails.set(**FIELDS, **options).perform_async("a", 1.5)

  def self.only_entry(set, id)
    wait_until("#{id} is in #{set.name}") { set.find_job(id) }
  end

  # Our worker fails, Ruby reads why, Ruby runs it.
  def self.from_us_to_ruby
    id = push("queue" => "ours", "retry_queue" => "ruby", "backtrace" => true)
    began = Time.now.to_f
    entry = only_entry(Sidekiq::RetrySet.new, id)
    item = entry.item
    @report.equal("Ruby reads why it failed with us", ["HTTP 500", "the application answered 500 Internal Server Error: it fails over HTTP: \u00e9 \"quoted\" </b>\nat line 2", 0],
      item.values_at("error_class", "error_message", "retry_count"))
    @report.equal("`error_backtrace` is read", ["it fails over HTTP: \u00e9 \"quoted\" </b>", "at line 2"], entry.error_backtrace)
    @report.holds("`failed_at` is now in float seconds", item["failed_at"].is_a?(Float) && (began - 1..began + 30).cover?(item["failed_at"]), began.to_s, item["failed_at"])
    @report.holds("its next try is after Sidekiq's backoff", (14..31).cover?(entry.score - began), "15 to 25 s from now", entry.score - began)
    @report.equal("unknown fields are kept, in their order", %w[retry queue retry_queue cattr tags bid custom backtrace class args jid created_at enqueued_at].sort,
      (item.keys - OF_ERROR).sort)
    @report.equal("and their bytes", FIELDS, item.slice(*FIELDS.keys))
    @report.equal("what failed with us is written as Ruby writes it", entry.value, JSON.generate(JSON.parse(entry.value)))
    entry.reschedule(Time.now)
    wait_until("Ruby runs it") { ran?(id) }
    # It fails there too, and counts on.
    again = wait_until("it fails in Ruby") { found = Sidekiq::RetrySet.new.find_job(id); found if found && found["retry_count"] == 1 }
    @report.equal("Ruby counts on from our count", ["ArgumentError", 1], [again["error_class"], again["retry_count"]])
    @report.holds("and knows that it was tried before", again["retried_at"].to_f >= item["failed_at"], "retried_at", again.item)
    @stage.mend
    again.retry
    wait_until("Ruby runs it") { ran(id) == 2 }
    @report.equal("Ruby runs it from `retry`, twice in all", [2, nil], [ran(id), Sidekiq::RetrySet.new.find_job(id)])
    @stage.break_again
  end

  # Ruby fails, we run it, and fail, and run it.
  def self.from_ruby_to_us
    id = push("queue" => "ruby", "retry_queue" => "ours", "backtrace" => 3)
    entry = only_entry(Sidekiq::RetrySet.new, id)
    shown = JSON.parse(@stage.jobs("list", "--set", "retry", "--json")).first
    @report.equal("we read why it failed in Ruby", ["ArgumentError", "it fails in Ruby: \u00e9 \"quoted\" </b>"], shown["job"].values_at("error_class", "error_message"))
    @report.equal("and the backtrace that Ruby wrote, in lines of base64", entry.error_backtrace, shown["backtrace"])
    before = entry.value
    entry.reschedule(Time.now)
    failed = wait_until("it fails with us") { found = Sidekiq::RetrySet.new.find_job(id); found if found && found["retry_count"] == 1 }
    given = @stage.deliveries.given.find { |it| it.include?(id) }
    @report.equal("we are given what Ruby wrote, with its new `enqueued_at` alone", without(before, "enqueued_at"), without(given, "enqueued_at"))
    @report.equal("we count on from Ruby's count", ["HTTP 500", 1], failed.item.values_at("error_class", "retry_count"))
    @report.holds("`retried_at` is said, `failed_at` stays", failed["retried_at"].to_f > failed["failed_at"] && failed["failed_at"] == entry["failed_at"], entry.item, failed.item)
    @report.equal("the keys keep their order", entry.item.keys - ["retried_at"], failed.item.keys - ["retried_at"])
    @stage.mend
    @report.equal("`forebay jobs retry` takes it from there", "1 retried", @stage.jobs("retry", id))
    wait_until("we run it") { given_times(id) == 2 }
    @report.equal("it is over", nil, Sidekiq::RetrySet.new.find_job(id))
    @stage.break_again
  end

  # A failure of ours is promoted by us: no button, no help.
  def self.again_and_again
    id = push("queue" => "ours", "retry" => 1)
    entry = only_entry(Sidekiq::RetrySet.new, id)
    entry.reschedule(Time.now)
    dead = only_entry(Sidekiq::DeadSet.new, id)
    @report.equal("what fails as often as it may is dead", ["HTTP 500", 1, nil], [dead["error_class"], dead["retry_count"], Sidekiq::RetrySet.new.find_job(id)])
    dead.delete
    @report.equal("`SortedEntry#delete` takes it out of the dead", nil, Sidekiq::DeadSet.new.find_job(id))
  end

  def self.dead_in_ruby
    id = push("queue" => "ruby", "retry_queue" => "ours", "retry" => 0)
    dead = only_entry(Sidekiq::DeadSet.new, id)
    @report.equal("what dies in Ruby is dead for us", ["dead", "ArgumentError"], JSON.parse(@stage.jobs("show", id, "--json")).then { |it| [it["in"], it["job"]["error_class"]] })
    @stage.mend
    @stage.jobs("retry", "--set", "dead", "--all", "--yes")
    wait_until("we run it") { given_times(id) == 1 }
    given = @stage.deliveries.given.find { |it| it.include?(id) }
    @report.equal("it is what it was, but for the try that was given back", without(dead.value, "enqueued_at", "retry_count"), without(given, "enqueued_at", "retry_count"))
    @stage.break_again
  end

  def self.dead_with_us
    id = push("queue" => "ours", "retry_queue" => "ruby", "retry" => 0)
    dead = only_entry(Sidekiq::DeadSet.new, id)
    @report.equal("what dies with us is read by Ruby", ["HTTP 500", 0, FIELDS], [dead["error_class"], dead["retry_count"], dead.item.slice(*FIELDS.keys)])
    @stage.mend
    dead.retry
    wait_until("Ruby runs it") { ran?(id) }
    @report.equal("`DeadSet` `retry` runs it in Ruby, once", [1, FIELDS], [ran(id), JSON.parse(@stage.ran_in_ruby.last.last).slice(*FIELDS.keys)])
    @stage.break_again
  end

  def self.by_command
    id = push("queue" => "command", "backtrace" => 2, "retry" => 0)
    worker = @stage.forebay(queues: ["command"], how: ["--", "#{Stage::APPLICATION}/command"])
    dead = only_entry(Sidekiq::DeadSet.new, id)
    @report.equal("of a command that fails Ruby reads why", ["Exit 3", "it fails in a command\nat line 2", ["it fails in a command", "at line 2"]],
      [dead["error_class"], dead["error_message"], dead.error_backtrace])
    worker.stop
  end

  def self.ran(id) = @stage.ran_in_ruby.count { |_, it, _| it == id }
  def self.ran?(id) = ran(id).positive?
  def self.given_times(id) = @stage.deliveries.given.count { |it| it.include?(id) }

  # As JSON, in its order, without these fields.
  def self.without(payload, *fields) = JSON.generate(JSON.parse(payload).except(*fields))
end
