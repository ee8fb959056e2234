-- Leave an answer for the producer, and let the mark go in its time.
--
-- KEYS[1]  our mark      KEYS[2]  the result      KEYS[3]  the failures so far
-- ARGV[1]  the answer (JSON)      ARGV[2]  generation of the delivery
-- ARGV[3]  ms to keep the answer  ARGV[4]  ms to keep the mark
-- Reply    1, or 0 where the command has been replayed since: the answer of a late delivery is not wanted

local generation = redis.call('HGET', KEYS[1], 'generation')
if generation and tonumber(generation) > tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
