# An answer that the test holds open: the file `started` says that the request is here, the file `release` lets it go.
class SlowController < ApplicationController
  DEADLINE = 30.seconds

  def show
    ticket = params[:ticket][/\A[a-z0-9-]+\z/] or return head(:bad_request)
    FileUtils.touch(Rails.root.join("tmp", "#{ticket}.started"))
    return head(:gateway_timeout) unless released?(Rails.root.join("tmp", "#{ticket}.release"))

    render plain: "finished #{ticket}\n" * 1000
  end

  private

  def released?(file)
    last = Process.clock_gettime(Process::CLOCK_MONOTONIC) + DEADLINE.to_i
    until file.exist?
      return false if Process.clock_gettime(Process::CLOCK_MONOTONIC) > last

      sleep 0.01
    end
    true
  end
end
