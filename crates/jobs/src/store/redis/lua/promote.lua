-- KEYS set  ARGV of each: score, member, queue, payload. Says how many were moved.
-- The first write is one that a full server refuses: moving much into queues can wait until there is room.
local moved = 0
for at = 1, #ARGV, 4 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[at + 1])
  if score and math.abs(score - ARGV[at]) < 0.000002 then
    redis.call('SADD', 'queues', ARGV[at + 2])
    redis.call('ZREM', KEYS[1], ARGV[at + 1])
    redis.call('LPUSH', 'queue:' .. ARGV[at + 2], ARGV[at + 3])
    moved = moved + 1
  end
end
return moved
