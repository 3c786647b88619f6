# Waiting is always for a condition, with a deadline.
POLL_SECONDS = 0.02

def monotonic = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# Asks until the block answers something true, and answers that.
def wait_until(what, seconds = 30)
  last = monotonic + seconds
  loop do
    answer = yield
    return answer if answer
    raise "after #{seconds} s still not so: #{what}" if monotonic > last
    sleep POLL_SECONDS
  end
end
