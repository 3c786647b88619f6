# What the referee says: one line for each law, with expected and got when it is broken.
class Report
  attr_reader :failures

  def initialize
    @laws = @failures = 0
    @case = ""
  end

  def open(name) = @case = name

  # The one way to judge: `got` must be `expected`.
  def equal(law, expected, got) = judge(law, expected == got, expected.inspect, got.inspect)

  # For laws whose expectation is a sentence.
  def holds(law, condition, expected = "it is so", got = "it is not") = judge(law, condition, expected, got.is_a?(String) ? got : got.inspect)

  def broken(law, error)
    judge(law, false, "no error", ["#{error.class}: #{error.message}", *Array(error.backtrace).first(8)].join("\n          "))
  end

  def summary(seconds) = puts(format("%d laws, %d failed, %.1f s", @laws, @failures, seconds))

  private

  MOST = 3_000

  def judge(law, good, expected, got)
    @laws += 1
    return puts("ok      #{@case}: #{law}") if good
    @failures += 1
    puts "failed  #{@case}: #{law}\n        expected: #{expected[0, MOST]}\n        got:      #{got[0, MOST]}"
  end
end
