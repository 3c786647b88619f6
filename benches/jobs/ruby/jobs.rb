# The jobs of `cargo xtask bench jobs` in Ruby, as `benches/jobs/src/work.rs` has them. The environment says
# where runs and delays are noted.

require "sidekiq"

# Two lines a job are not what is measured.
Sidekiq.logger.level = Logger::ERROR
# Nor is a warning of the Redis gem with each push.
Redis.sadd_returns_boolean = false
Redis.silence_deprecations = true

NOTES = ENV["BENCH_NOTES"] && File.open(ENV["BENCH_NOTES"], "a").tap { |file| file.sync = true }
MARK = Float(ENV.fetch("BENCH_MARK_US", "0")) / 1_000_000

def now_us
  Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
end

class Noop
  include Sidekiq::Worker
  def perform(_number); end
end

class Stamp
  include Sidekiq::Worker
  def perform(pushed)
    NOTES.write("delay #{now_us - pushed} 0\n")
  end
end

class Mark
  include Sidekiq::Worker
  def perform(number)
    NOTES.write("begun #{number} #{now_us}\n")
    sleep MARK if MARK.positive?
    NOTES.write("ended #{number} #{now_us}\n")
  end
end

class Fail
  include Sidekiq::Worker
  def perform(_number)
    raise "it is meant to fail"
  end
end
