-- Ends leases, and takes new ones.
--   KEYS  leases, alive, paused, dead, queues...
--   ARGV  now (0: the server's), owner, dead_most, dead_age, wanted, tokens..., then of each end:
--         field, kind (done wait back park), a, b, c, lock, holder
--         wait: set, score, payload;  park: class, place of parked jobs, queue;  back: queue
-- The first write is one that a full server does not refuse; after it, none is (Redis 6.2 and 7). So retries
-- and deaths are written even then.
local leases, alive = KEYS[1], KEYS[2]
redis.call('UNLINK', 'fb:none')
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local wanted = tonumber(ARGV[5])
local at = 6 + wanted
local lost, n, died = {}, 0, false
while ARGV[at] do
  local field, kind, a, b, c = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local job
  if kind == 'back' or kind == 'park' then job = redis.call('HGET', leases, field) end
  if redis.call('HDEL', leases, field) == 0 then
    lost[#lost + 1] = n
  else
    if kind == 'wait' then
      redis.call('ZADD', a, b, c)
      died = died or a == KEYS[4]
    elseif kind == 'back' then
      redis.call('RPUSH', 'queue:' .. a, job)
      -- Ruby forgets the name of a queue that it empties, and a queue without a name is seen by nobody.
      redis.call('SADD', 'queues', a)
    elseif kind == 'park' then
      -- Resumed meanwhile: nobody would bring it back.
      if redis.call('SISMEMBER', 'fb:paused', a) == 1 then
        redis.call('LPUSH', 'fb:park:' .. b, job)
        redis.call('SADD', 'fb:parks', b)
      else
        redis.call('RPUSH', 'queue:' .. c, job)
        redis.call('SADD', 'queues', c)
      end
    end
    local lock = ARGV[at + 5]
    if lock ~= '' then
      local held = redis.call('GET', lock)
      if held and string.match(held, '^%d+ (.*)$') == ARGV[at + 6] then redis.call('UNLINK', lock) end
    end
  end
  n = n + 1
  at = at + 7
end
if died then
  local dead = KEYS[4]
  local old = redis.call('ZCOUNT', dead, '-inf', string.format('(%.6f', (now - ARGV[4]) / 1000000))
  local over = redis.call('ZCARD', dead) - ARGV[3]
  local off = math.min(math.max(old, over), 200)
  if off > 0 then redis.call('ZREMRANGEBYRANK', dead, 0, off - 1) end
end
local got, gone, next_token, strange = {}, {}, 6, {}
if wanted > 0 then
  -- A lease of one that nobody knows would never be taken over: it is known from here on, as dead.
  if not redis.call('ZSCORE', alive, ARGV[2]) then
    redis.call('ZADD', alive, string.format('%.0f', now), ARGV[2])
  end
  local pauses = redis.call('EXISTS', KEYS[3]) == 1
  for i = 5, #KEYS do
    local queue = KEYS[i]
    local name = string.sub(queue, 7)
    if not (pauses and redis.call('SISMEMBER', KEYS[3], name) == 1) then
      local jobs = redis.pcall('RPOP', queue, wanted)
      if jobs and jobs.err then
        strange[#strange + 1] = i - 5
      elseif jobs and #jobs > 0 then
        local fill = { leases }
        for _, job in ipairs(jobs) do
          fill[#fill + 1] = ARGV[next_token] .. ':' .. name
          fill[#fill + 1] = job
          next_token = next_token + 1
        end
        redis.call('HSET', unpack(fill))
        got[#got + 1] = i - 5
        got[#got + 1] = jobs
        wanted = wanted - #jobs
        if redis.call('EXISTS', '{' .. queue .. '}:gone') == 1 then gone[#gone + 1] = i - 5 end
        if wanted == 0 then break end
      end
    end
  end
end
return { lost, got, gone, strange }
