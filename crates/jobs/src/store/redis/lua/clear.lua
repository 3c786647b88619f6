-- KEYS a list or a set, and what lies beside it  ARGV its kind. Says how many were in it.
local count = redis.call(ARGV[1] == 'list' and 'LLEN' or 'ZCARD', KEYS[1])
local gone = KEYS[2] and redis.call('HLEN', KEYS[2]) - redis.call('HEXISTS', KEYS[2], '') or 0
redis.call('UNLINK', unpack(KEYS))
return math.max(count - gone, 0)
