-- Marks a job of a queue as gone: whoever leases it drops it.
--   KEYS queue, gone  ARGV now, id
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
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
