#!lua flags=allow-oom
-- Have dead commands hold their lanes again, in a Redis that has lost them. One that is not the first of its lanes is
-- parked by the sweep when it is.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV     for each command: its id, the generation in which it died, that in which it is replayed perhaps, its
--          fingerprint, how many lanes it stood in, the lanes
-- Reply    how many were parked; one whose job is there, or that holds its lanes, is left as it is

local function job_of(id, generation)
  return queue .. ':' .. id .. (generation == '0' and '' or ':' .. generation)
end

local parked, arg = 0, 1
while arg <= #ARGV do
  local id, died_in, replayed_in, mark, lanes = ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ours .. 'mark:' .. ARGV[arg], {}
  for i = arg + 5, arg + 4 + ARGV[arg + 4] do lanes[#lanes + 1] = ARGV[i] end
  if not (redis.call('ZSCORE', queue, job_of(id, died_in)) or redis.call('ZSCORE', queue, job_of(id, replayed_in))
    or redis.call('ZSCORE', ours .. 'parked', id)) then
    for _, name in ipairs(lanes) do
      redis.call('LREM', ours .. 'lane:' .. name, 0, id)
      redis.call('RPUSH', ours .. 'lane:' .. name, id) -- what is there came before it: a loss takes the latest
    end
    redis.call('HSET', mark, 'fingerprint', ARGV[arg + 3], 'nonce', '', 'generation', died_in,
      'lanes', table.concat(lanes, '\0'))
    redis.call('PERSIST', mark)
    park(id, lanes)
    parked = parked + 1
  end
  arg = arg + 5 + #lanes
end
return parked
