-- Drops leases of jobs that were marked as gone.  KEYS leases, gone  ARGV of each: id, field
local out = {}
for at = 1, #ARGV, 2 do
  local is_gone = redis.call('HDEL', KEYS[2], ARGV[at])
  if is_gone == 1 then redis.call('HDEL', KEYS[1], ARGV[at + 1]) end
  out[#out + 1] = is_gone
end
if redis.call('HLEN', KEYS[2]) == redis.call('HEXISTS', KEYS[2], '') then redis.call('UNLINK', KEYS[2]) end
return out
