-- Brings parked jobs back, the newest first, so that the oldest is next.
--   KEYS parked, queue  ARGV most, class, place, queue. Says how many are left.
if redis.call('SISMEMBER', 'fb:paused', ARGV[2]) == 1 then return 0 end
redis.call('UNLINK', 'fb:none')
for _ = 1, tonumber(ARGV[1]) do
  local job = redis.call('LPOP', KEYS[1])
  if not job then break end
  redis.call('RPUSH', KEYS[2], job)
  redis.call('SADD', 'queues', ARGV[4])
end
local left = redis.call('LLEN', KEYS[1])
if left == 0 then redis.call('SREM', 'fb:parks', ARGV[3]) end
return left
