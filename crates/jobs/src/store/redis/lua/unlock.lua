-- KEYS lock  ARGV now, holder
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local held = redis.call('GET', KEYS[1])
if not held then return 0 end
local till, holder = string.match(held, '^(%d+) (.*)$')
if holder ~= ARGV[2] or tonumber(till) <= now then return 0 end
return redis.call('UNLINK', KEYS[1])
