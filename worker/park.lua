#!lua flags=allow-oom
-- Have dead commands hold their lanes again, in a Redis that has lost them.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV     for each command: its id, its generation, its fingerprint, how many lanes it stood in, the lanes
-- Reply    how many were parked; one whose job is there, or that holds its lanes, is left as it is

local parked, arg = 0, 1
while arg <= #ARGV do
  local id, generation, lanes = ARGV[arg], ARGV[arg + 1], {}
  for i = arg + 4, arg + 3 + ARGV[arg + 3] do lanes[#lanes + 1] = ARGV[i] end
  local job_id, mark = queue .. ':' .. id .. (generation == '0' and '' or ':' .. generation), ours .. 'mark:' .. id
  local is_there = redis.call('ZSCORE', queue, job_id) or redis.call('ZSCORE', ours .. 'parked', id)
  if not is_there then
    for _, name in ipairs(lanes) do
      redis.call('LREM', ours .. 'lane:' .. name, 0, id)
      redis.call('LPUSH', ours .. 'lane:' .. name, id) -- nothing that came after it has run
    end
    redis.call('HSET', mark, 'fingerprint', ARGV[arg + 2], 'nonce', '', 'generation', generation,
      'lanes', table.concat(lanes, '\0'))
    park(id, lanes)
    parked = parked + 1
  end
  arg = arg + 4 + #lanes
end
return parked
