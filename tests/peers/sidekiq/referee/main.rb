# The whole trial in order. Each case begins on an empty server.
require_relative "until"
require_relative "../application/jobs"
require_relative "report"
require_relative "deliveries"
require_relative "stage"
require_relative "ui"
CASES = %w[theirs ours failures screens buttons together harmless guide full].freeze
CASES.each { |name| require_relative "cases/#{name}" }

DEADLINE_SECONDS = 420

$stdout.sync = true
Sidekiq.logger.level = Logger::ERROR
Redis.silence_deprecations = true
report = Report.new
# `run` ends every process of a trial.
Thread.new do
  sleep DEADLINE_SECONDS
  report.broken("the whole trial ends in time", RuntimeError.new("not over after #{DEADLINE_SECONDS} s"))
  exit!(1)
end

begun = monotonic
only = ENV.fetch("REFEREE_ONLY", "").split(",")
begin
  stage = Stage.new(ENV.fetch("REFEREE_WORK"))
  CASES.each do |name|
    next unless only.empty? || only.include?(name)
    report.open(name)
    before = report.failures
    stage.clear
    begin
      Object.const_get(name.capitalize).judge(report, stage)
    rescue StandardError => error
      report.broken("the case runs to its end", error)
    end
    puts stage.last_words if report.failures > before
  end
rescue StandardError => error
  report.broken("the trial can begin", error)
end
report.summary(monotonic - begun)
exit!(report.failures.positive? ? 1 : 0)
