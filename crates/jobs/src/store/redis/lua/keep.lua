-- KEYS alive  ARGV now, owner, for
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local till = redis.call('ZSCORE', KEYS[1], ARGV[2])
if till and tonumber(till) <= now then return 0 end
-- Not refused by a full server, and so the next is not either.
redis.call('UNLINK', 'fb:none')
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[2])
return 1
