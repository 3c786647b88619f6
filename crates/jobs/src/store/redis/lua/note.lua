-- Keeps something beside a job, or says what is kept.
--   KEYS note  ARGV now, field, then to set it: ttl, value;  to take it away: ttl
-- The hash is Sidekiq's own for jobs that go on where they stopped. It is kept for the longest of its times.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local till = tonumber(redis.call('HGET', KEYS[1], 'fb:until') or '')
local is_over = till and till <= now
if not ARGV[3] then
  return not is_over and redis.call('HGET', KEYS[1], ARGV[2])
end
redis.call('UNLINK', is_over and KEYS[1] or 'fb:none')
if is_over then till = nil end
if not ARGV[4] then
  redis.call('HDEL', KEYS[1], ARGV[2])
  if till and redis.call('HLEN', KEYS[1]) == 1 then redis.call('UNLINK', KEYS[1]) end
  return
end
local ends = math.max(now + ARGV[3], till or 0)
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4], 'fb:until', string.format('%.0f', ends))
-- Ruby may keep a cursor of its own there, for longer.
local kept = math.max((ends - now) / 1000 + 60000, redis.call('PTTL', KEYS[1]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', kept))
