#!lua flags=allow-oom
-- Leave answers for the producers that wait, tell those that listen, let the marks go in their time; and let the
-- commands go from their lanes, so that others may run.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV[1]  ms to keep an answer      ARGV[2]  ms to keep a mark      ARGV[3]  "1" to ring for what is set free
-- and then for each command: its id, the generation of the delivery, its job id, the answer (JSON) or "" for none,
--          "parks" where it is dead and keeps its lanes, "leaves" to let go of those it is known to have, else "";
--          when a person let go of it (ms since 1970) or ""; how many lanes it stands in, the lanes
-- Reply    per command 1, or 0 where it has been replayed since: the answer of a late delivery is not wanted

local replies, freed, arg = {}, false, 4
while arg <= #ARGV do
  local id, answer, lanes = ARGV[arg], ARGV[arg + 3], {}
  local mark, result = ours .. 'mark:' .. id, ours .. 'result:' .. id
  local generation, released = unpack(redis.call('HMGET', mark, 'generation', 'released'))
  for i = arg + 7, arg + 6 + ARGV[arg + 6] do lanes[#lanes + 1] = ARGV[i] end
  if generation and tonumber(generation) > tonumber(ARGV[arg + 1]) then
    replies[#replies + 1] = 0
  else
    redis.call('DEL', ours .. 'failures:' .. ARGV[arg + 2])
    local parks = ARGV[arg + 4] == 'parks'
    if parks then redis.call('PERSIST', mark) else redis.call('PEXPIRE', mark, ARGV[2]) end
    if answer ~= '' then
      redis.pcall('SET', result, answer, 'PX', ARGV[1]) -- a Redis that has no room loses the answer only
      redis.pcall('PUBLISH', result, answer) -- a user without rights on channels leaves it to the producer to look
    end
    local known = (#lanes == 0 and ARGV[arg + 4] ~= '') and lanes_of(id) or lanes
    if parks then park(id, known)
    elseif #known > 0 or ARGV[arg + 4] ~= '' then
      local dropped = ARGV[arg + 5] ~= '' and redis.call('HEXISTS', ours .. 'stand:' .. id, 'parked') == 1
      freed = leave(id, known, dropped and ARGV[arg + 5] or released) or freed
    end
    replies[#replies + 1] = 1
  end
  arg = arg + 7 + #lanes
end
if freed and ARGV[3] == '1' then ring() end
return replies
