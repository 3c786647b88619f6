-- KEYS role  ARGV now, owner, ttl
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local held = redis.call('GET', KEYS[1])
if held then
  local till, by = string.match(held, '^(%d+) (.*)$')
  if by and by ~= ARGV[2] and tonumber(till) > now then return 0 end
end
local ttl = tonumber(ARGV[3])
redis.call('UNLINK', 'fb:none')
redis.call('SET', KEYS[1], string.format('%.0f ', now + ttl) .. ARGV[2],
  'PX', string.format('%.0f', ttl / 1000 + 60000))
return 1
