#!lua flags=allow-oom
-- Have dead commands hold their lanes again, in a Redis that has lost them: each stands before what was accepted after
-- it, and behind what came back that was accepted earlier; then the sweep parks it when it is the first.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV     for each command: its id, the generation in which it died, that in which it is replayed perhaps, its
--          fingerprint, when it was accepted (ms since 1970), how many lanes it stood in, the lanes
-- Reply    how many were parked; one whose job is there, or that holds its lanes, is left as it is

local function job_of(id, generation)
  return queue .. ':' .. id .. (generation == '0' and '' or ':' .. generation)
end

local function job_now(id)
  return job_of(id, redis.call('HGET', ours .. 'mark:' .. id, 'generation') or '0')
end

local function is_later(id, accepted)
  local job = job_now(id)
  local stamped = string.match(redis.call('GET', 'arq:job:' .. job) or '', '.*{"accepted":(%d+)')
  return tonumber(stamped or 0) > accepted and redis.call('EXISTS', 'arq:in-progress:' .. job) == 0
end

-- Have a command wait that was the first of its lanes.
local function hold(id)
  local job, stand = job_now(id), ours .. 'stand:' .. id
  local due = redis.call('ZSCORE', queue, job)
  if not due or redis.call('EXISTS', stand) == 1 then return end
  local said = {'job', job, 'due', due}
  for _, name in ipairs(lanes_of(id)) do
    said[#said + 1] = 'lane:' .. name
    said[#said + 1] = ''
  end
  fields(stand, said)
  redis.call('ZADD', ours .. 'waiting', string.format('%.0f', now), id)
  redis.call('ZADD', queue, 'XX', FAR, job)
end

-- Put a command before the first of a lane that was accepted later: they stand in that order, so half of them are
-- passed over at a time.
local function insert(id, lane, accepted)
  redis.call('LREM', lane, 0, id)
  local before, after = 0, redis.call('LLEN', lane)
  while before < after do
    local middle = math.floor((before + after) / 2)
    if is_later(redis.call('LINDEX', lane, middle), accepted) then after = middle else before = middle + 1 end
  end
  local following = redis.call('LINDEX', lane, before)
  if not following then redis.call('RPUSH', lane, id) return end
  redis.call('LINSERT', lane, 'BEFORE', following, id)
  if before == 0 then hold(following) end
end

local parked, arg = 0, 1
while arg <= #ARGV do
  local id, died_in, replayed_in, mark, lanes = ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ours .. 'mark:' .. ARGV[arg], {}
  for i = arg + 6, arg + 5 + ARGV[arg + 5] do lanes[#lanes + 1] = ARGV[i] end
  if not (redis.call('ZSCORE', queue, job_of(id, died_in)) or redis.call('ZSCORE', queue, job_of(id, replayed_in))
    or redis.call('ZSCORE', ours .. 'parked', id)) then
    for _, name in ipairs(lanes) do insert(id, ours .. 'lane:' .. name, tonumber(ARGV[arg + 4])) end
    redis.call('HSET', mark, 'fingerprint', ARGV[arg + 3], 'nonce', '', 'generation', died_in,
      'lanes', table.concat(lanes, '\0'))
    redis.call('PERSIST', mark)
    park(id, lanes)
    parked = parked + 1
  end
  arg = arg + 6 + #lanes
end
return parked
