-- Says what a process does, as Sidekiq does, on a full server too: the first write is one that none refuses.
--   KEYS  id, work, workers, signals
--   ARGV  now, id, shown for, info, concurrency, busy, rtt, quiet, rss, processed, failed, form of metrics (8, 7),
--         classes, then of each: name, processed, failed, ms, buckets, then of each: index, count
--         then of each job that runs: thread, job
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
redis.call('UNLINK', KEYS[2], KEYS[3])
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
local at = 14
local classes = tonumber(ARGV[13])
if classes > 0 then
  local minutes = math.floor(now / 60000000) % 1440
  local hour, minute = math.floor(minutes / 60), minutes % 60
  local prefix, window = '', string.format('-%02d-%02d:%d', day, hour, minute)
  local totals = { { string.format('j|%04d%02d%02d|%d:%d', year, month, day, hour, minute), 28800 } }
  if ARGV[12] == '8' then
    prefix, window = 'h|', string.format('-%d-%d:%d', day, hour, minute)
    local name = string.format('j|%02d%02d%02d|%d:%02d', year % 100, month, day, hour, minute)
    totals = { { name, 28800 }, { string.sub(name, 1, -2), 259200 } }
  end
  -- Another kind of value may lie under a name that a stranger's job gave: the beat goes on.
  for _ = 1, classes do
    local class, buckets = ARGV[at], tonumber(ARGV[at + 4])
    for _, total in ipairs(totals) do
      for i, field in ipairs({ '|p', '|f', '|ms' }) do
        if ARGV[at + i] ~= '0' then redis.pcall('HINCRBY', total[1], class .. field, ARGV[at + i]) end
      end
    end
    at = at + 5
    if buckets > 0 then
      local call = { 'BITFIELD', prefix .. class .. window, 'OVERFLOW', 'SAT' }
      for _ = 1, buckets do
        for _, word in ipairs({ 'INCRBY', 'u16', '#' .. ARGV[at], ARGV[at + 1] }) do call[#call + 1] = word end
        at = at + 2
      end
      -- What is not ours keeps its time: it may be a queue.
      if not redis.pcall(unpack(call)).err then redis.call('EXPIRE', call[2], 28800) end
    end
  end
  for _, total in ipairs(totals) do redis.call('EXPIRE', total[1], total[2]) end
end
local is_any = ARGV[at]
for from = at, #ARGV, 100 do
  local some = { unpack(ARGV, from, math.min(from + 99, #ARGV)) }
  redis.call('HSET', KEYS[2], unpack(some))
  -- Where Sidekiq 6.4 looks.
  redis.call('HSET', KEYS[3], unpack(some))
end
if is_any then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
return redis.call('RPOP', KEYS[4])
