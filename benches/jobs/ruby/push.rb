# Who pushes from Ruby: `push.rb one|threads|bulk SECONDS POOL`. Prints `rate=… pushed=…`.

require_relative "jobs"

kind, seconds, pool = ARGV
seconds = Float(seconds)
Sidekiq.configure_client do |config|
  # Fifty threads share five connections where nobody says more: they may wait for them.
  config.redis = { url: ENV.fetch("REDIS_URL"), size: Integer(pool), pool_timeout: 30 }
end

def now
  Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

200.times { |number| Noop.perform_async(number) }
began = now
count =
  case kind
  when "one", "threads"
    threads = (kind == "one" ? 1 : 50).times.map do
      Thread.new do
        pushed = 0
        while now - began < seconds
          Noop.perform_async(pushed)
          pushed += 1
        end
        pushed
      end
    end
    threads.sum(&:value)
  when "bulk"
    pushed = 0
    while now - began < seconds
      args = (pushed...pushed + 1_000).map { |number| [number] }
      Sidekiq::Client.push_bulk("class" => Noop, "args" => args)
      pushed += 1_000
    end
    pushed
  else
    abort "unknown way to push: #{kind}"
  end
puts "rate=#{(count / (now - began)).round} pushed=#{count}"
