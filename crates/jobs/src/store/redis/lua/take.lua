-- KEYS set, set to put it into ('' if none), dead  ARGV now, score, member, score there, member there,
-- dead_most, dead_age
local score = redis.call('ZSCORE', KEYS[1], ARGV[3])
if not score or math.abs(score - ARGV[2]) >= 0.000002 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[3])
if KEYS[2] ~= '' then
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
  local dead = KEYS[3]
  if KEYS[2] == dead then
    local now = tonumber(ARGV[1])
    if now == 0 then
      local time = redis.call('TIME')
      now = time[1] * 1000000 + time[2]
    end
    local old = redis.call('ZCOUNT', dead, '-inf', string.format('(%.6f', (now - ARGV[7]) / 1000000))
    local over = redis.call('ZCARD', dead) - ARGV[6]
    local off = math.min(math.max(old, over), 200)
    if off > 0 then redis.call('ZREMRANGEBYRANK', dead, 0, off - 1) end
  end
end
return 1
