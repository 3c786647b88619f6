-- Takes over leases of one that is dead.
--   KEYS  leases, alive, dead  ARGV now, owner, poison, window, dead_most, dead_age, then: field, queue, id
-- Returns nothing if it lives, else how many went back, and of each that is dead now the job and its score.
local leases, alive, dead = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local till = redis.call('ZSCORE', alive, ARGV[2])
if till and tonumber(till) > now then return false end
redis.call('UNLINK', 'fb:none')
local back, poisoned = 0, {}
for at = 7, #ARGV, 3 do
  local job = redis.call('HGET', leases, ARGV[at])
  if job then
    redis.call('HDEL', leases, ARGV[at])
    local deaths = 0
    if ARGV[at + 2] ~= '' then
      local key = 'fb:poison:' .. ARGV[at + 2]
      deaths = redis.call('INCR', key)
      redis.call('PEXPIRE', key, ARGV[4])
    end
    if deaths > tonumber(ARGV[3]) then
      local score = string.format('%.6f', now / 1000000)
      redis.call('ZADD', dead, score, job)
      poisoned[#poisoned + 1] = job
      poisoned[#poisoned + 1] = score
    else
      redis.call('RPUSH', 'queue:' .. ARGV[at + 1], job)
      redis.call('SADD', 'queues', ARGV[at + 1])
      back = back + 1
    end
  end
end
if #poisoned > 0 then
  local old = redis.call('ZCOUNT', dead, '-inf', string.format('(%.6f', (now - ARGV[6]) / 1000000))
  local over = redis.call('ZCARD', dead) - ARGV[5]
  local off = math.min(math.max(old, over), 200)
  if off > 0 then redis.call('ZREMRANGEBYRANK', dead, 0, off - 1) end
end
if redis.call('EXISTS', leases) == 0 then redis.call('ZREM', alive, ARGV[2]) end
return { back, poisoned }
