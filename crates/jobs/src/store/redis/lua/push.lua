-- Stores jobs, all or none: the first write is refused by a server that is full or a replica.
--   ARGV  now (0: the server's), timetable ('' if none), tick, then of each job:
--         queue, score ('' is now), payload, lock ('' if none), holder, ttl
-- Returns who holds the lock of each that was not stored; false if the tick was fired before.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
if ARGV[2] ~= '' then
  local last = redis.call('HGET', 'fb:fired', ARGV[2])
  if last and tonumber(last) >= tonumber(ARGV[3]) then return false end
  redis.call('HSET', 'fb:fired', ARGV[2], ARGV[3])
end
local out = {}
for at = 4, #ARGV, 6 do
  local queue, score, payload, lock = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local of = ''
  if lock ~= '' then
    local held = redis.call('GET', lock)
    if held then
      local till, holder = string.match(held, '^(%d+) (.*)$')
      if till and tonumber(till) > now and holder ~= ARGV[at + 4] then of = holder end
    end
    if of == '' then
      local ttl = tonumber(ARGV[at + 5])
      redis.call('SET', lock, string.format('%.0f ', now + ttl) .. ARGV[at + 4],
        'PX', string.format('%.0f', ttl / 1000 + 60000))
    end
  end
  if of == '' then
    if score == '' then
      redis.call('SADD', 'queues', queue)
      redis.call('LPUSH', 'queue:' .. queue, payload)
    else
      redis.call('ZADD', 'schedule', score, payload)
    end
  end
  out[#out + 1] = of
end
return out
