-- Says what a process does, as Sidekiq does, on a full server too: the first write is one that none refuses.
--   KEYS  id, work, workers, signals
--   ARGV  now, id, shown for, info, concurrency, busy, rtt, quiet, rss, processed, failed, then: thread, job
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
redis.call('UNLINK', KEYS[2], KEYS[3])
for at = 12, #ARGV, 100 do
  local some = { unpack(ARGV, at, math.min(at + 99, #ARGV)) }
  redis.call('HSET', KEYS[2], unpack(some))
  -- Where Sidekiq 6.4 looks.
  redis.call('HSET', KEYS[3], unpack(some))
end
if ARGV[12] then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
redis.call('SADD', 'processes', ARGV[2])
redis.call('HSET', KEYS[1], 'info', ARGV[4], 'concurrency', ARGV[5], 'busy', ARGV[6],
  'beat', string.format('%.6f', now / 1000000), 'rtt_us', ARGV[7], 'quiet', ARGV[8], 'rss', ARGV[9])
redis.call('EXPIRE', KEYS[1], ARGV[3])
-- The day of the counters, in UTC, from days since 1970 (civil calendar, years that begin in March).
local days = math.floor(now / 86400000000) + 719468
local era = math.floor(days / 146097)
local doe = days - era * 146097
local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
local mp = math.floor((5 * doy + 2) / 153)
local day, month = doy - math.floor((153 * mp + 2) / 5) + 1, mp < 10 and mp + 3 or mp - 9
local year = yoe + era * 400 + (month <= 2 and 1 or 0)
local date = string.format(':%04d-%02d-%02d', year, month, day)
for i, stat in ipairs({ 'stat:processed', 'stat:failed' }) do
  local by = ARGV[9 + i]
  if by ~= '0' then
    redis.call('INCRBY', stat, by)
    redis.call('INCRBY', stat .. date, by)
    redis.call('EXPIRE', stat .. date, 157680000)
  end
end
return redis.call('RPOP', KEYS[4])
