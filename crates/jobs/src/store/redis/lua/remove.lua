-- Marks a job of a queue as gone: whoever leases it drops it.
--   KEYS queue, gone  ARGV now, id
-- There are no more jobs to be marked than jobs; some marks may be of jobs that Ruby took.
local jobs = redis.call('LLEN', KEYS[1])
if jobs == 0 or redis.call('HLEN', KEYS[2]) > jobs + 1000 then return 0 end
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local at = string.format('%.0f', now)
if redis.call('HSETNX', KEYS[2], ARGV[2], at) == 0 then return 0 end
-- When the last mark was made: once all that waits is younger, every mark is of a job that others took.
redis.call('HSET', KEYS[2], '', at)
return 1
