#!lua flags=allow-oom
-- Leave the word of an epoch in Redis, also in one that is full: nothing is claimed before, so nothing would end.
--
-- KEYS[1]  the epoch      ARGV[1]  its word

return redis.call('SET', KEYS[1], ARGV[1])
