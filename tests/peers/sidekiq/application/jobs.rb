# Jobs of a Ruby application. The referee pushes them; a Sidekiq process runs them, and writes down what it ran.
require "json"
require "sidekiq"
require "sidekiq/api"

WORK = ENV.fetch("REFEREE_WORK")

# Written before it runs: a job that ran twice is there twice, however it ended.
class WritesDown
  def call(_job, payload, queue)
    File.open("#{WORK}/ran", "a") { |file| file.syswrite("#{queue}\t#{payload["jid"]}\t#{JSON.generate(payload)}\n") }
    yield
  end
end

class Plain
  include Sidekiq::Worker
  def perform(*) = nil
end

# Fails until the application is mended.
class Fails
  include Sidekiq::Worker
  def perform(*)
    raise ArgumentError, "it fails in Ruby: \u00e9 \"quoted\" </b>" unless File.exist?("#{WORK}/mended")
  end
end

class MailJob; end

module ActiveJob
  module QueueAdapters
    class SidekiqAdapter
      class JobWrapper
        include Sidekiq::Worker
        def perform(*) = nil
      end
    end
  end
end

Sidekiq.configure_server do |config|
  config.redis = {url: ENV.fetch("REDIS_URL")}
  config.server_middleware { |chain| chain.add WritesDown }
  # Often, so that nobody waits for it.
  config.options[:poll_interval_average] = 0.2
end
