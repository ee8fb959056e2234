#!lua flags=allow-oom
-- Leave answers for the producers that wait, tell those that listen, and let the marks go in their time.
--
-- KEYS[3i-2..3i] of command i: our mark, the result, the failures so far
-- ARGV[1]  ms to keep an answer      ARGV[2]  ms to keep a mark
-- ARGV[2i+1..2i+2] of command i: the answer (JSON), the generation of the delivery
-- Reply    per command 1, or 0 where it has been replayed since: the answer of a late delivery is not wanted

local replies = {}
for i = 1, #KEYS / 3 do
  local mark, result, answer = KEYS[3 * i - 2], KEYS[3 * i - 1], ARGV[2 * i + 1]
  local generation = redis.call('HGET', mark, 'generation')
  if generation and tonumber(generation) > tonumber(ARGV[2 * i + 2]) then
    replies[i] = 0
  else
    redis.call('DEL', KEYS[3 * i])
    redis.call('PEXPIRE', mark, ARGV[2])
    redis.pcall('SET', result, answer, 'PX', ARGV[1]) -- a Redis that has no room loses the answer only
    redis.pcall('PUBLISH', result, answer) -- a user without rights on channels leaves it to the producer to look
    replies[i] = 1
  end
end
return replies
