-- KEYS a set, or who is alive  ARGV now, most, unit of its scores: what lies before now.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local score = string.format('%.6f', now / tonumber(ARGV[3]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', score, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
