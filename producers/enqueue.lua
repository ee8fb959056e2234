-- Accept commands: all keys of all of them in one step, so a command is queued and marked, or neither.
--
-- KEYS[1]  the queue: arq's sorted set of job ids, scored by the time they are due
-- KEYS[2]  the bell: a list of at most one hint, for which an idle worker waits
-- ARGV[1]  most jobs that may wait in the queue, or "" for no limit      ARGV[2]  nonce of this call
-- ARGV[3]  most commands that may stand in one lane, or "" for no limit
-- and then for each command: command id, envelope (JSON), fingerprint, generation, "due deadline": each "+ms" from
--          now or "ms" since 1970, and the deadline may be missing; what its stamp has besides (JSON);
--          the lanes it stands in, those of the rows it refers to: each as one word, with NULs between
-- Reply    per command "accepted", "duplicate" or "conflict"; or one word, and nothing was accepted: "full" for
--          the queue, "lane_full" for a lane, "draining" where a person has no more of them let in
--
-- A call that is repeated because its reply was lost has the same nonce, and gets the same answer. The other
-- keys are made here from the queue's name and the ids, as producers/wire.py makes them.

local function at(text)
  if not text then return nil end
  if string.sub(text, 1, 1) == '+' then return now + tonumber(string.sub(text, 2)) end
  return tonumber(text)
end

local function split(names)
  if not string.find(names, '%z') then return {names ~= '' and names or nil} end
  local words = {}
  for name in string.gmatch(names, '[^%z]+') do words[#words + 1] = name end
  return words
end

local WORDS = 8 -- of each command
local most, nonce, most_in_lane = ARGV[1], ARGV[2], tonumber(ARGV[3])
local replies, accepted, joining, fresh, arg = {}, {}, {}, 0, 4

local function has_room(arg)
  if string.match(ARGV[arg + 4], '^%S+') ~= '+0' then return true end -- it does not stand in them yet
  for _, name in ipairs(split(ARGV[arg + 6])) do
    joining[name] = (joining[name] or redis.call('LLEN', ours .. 'lane:' .. name)) + 1
    if joining[name] > most_in_lane then return false end
  end
  return true
end

while arg <= #ARGV do
  local fingerprint, generation = ARGV[arg + 2], tonumber(ARGV[arg + 3])
  local name = ARGV[arg] .. ':' .. generation
  local mark = redis.call('HMGET', ours .. 'mark:' .. ARGV[arg], 'fingerprint', 'nonce', 'generation')
  local reply = 'conflict'
  if accepted[name] then
    if accepted[name] == fingerprint then reply = 'duplicate' end
  elseif not mark[1] or generation > tonumber(mark[3]) then
    reply = 'accepted'
    accepted[name] = fingerprint
    accepted[#accepted + 1] = arg
    if generation == 0 then -- a replay makes room: it is let in however full it is
      fresh = fresh + 1
      if most_in_lane and not has_room(arg) then return 'lane_full' end
    end
  elseif mark[1] == fingerprint then
    local again = mark[2] == nonce -- this very call, repeated: its first of an id was accepted
    reply = again and 'accepted' or 'duplicate'
    accepted[name] = again and fingerprint or nil
  end
  replies[#replies + 1] = reply
  arg = arg + WORDS
end

if #accepted == 0 then return replies end
if fresh > 0 and redis.call('HEXISTS', ours .. 'halt', 'draining') == 1 then return 'draining' end
if most ~= '' and fresh > 0 and redis.call('ZCARD', queue) + fresh > tonumber(most) then return 'full' end

for _, arg in ipairs(accepted) do
  local id, fingerprint, generation, besides = ARGV[arg], ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 5]
  local starts, ends = string.match(ARGV[arg + 4], '^(%S+) ?(%S*)$')
  local due = math.max(1, at(starts)) -- arq takes a score of 0 for none, and would never run it
  local deadline = ends ~= '' and at(ends)
  local stamp = string.format('{"accepted":%.0f,"due":%.0f,"deadline":%s%s}', now, due,
    deadline and string.format('%.0f', deadline) or 'null', besides)
  local job_id = queue .. ':' .. id .. (generation == '0' and '' or ':' .. generation)
  local mark, score = ours .. 'mark:' .. id, string.format('%.0f', due)
  redis.call('SET', 'arq:job:' .. job_id, '{"t":null,"f":"execute","k":{},"a":[' .. ARGV[arg + 1] .. ','
    .. stamp .. string.format('],"et":%.0f}', now))
  redis.call('DEL', mark, ours .. 'result:' .. id, ours .. 'failures:' .. job_id, 'arq:engine:' .. job_id)
  redis.call('HSET', mark, 'fingerprint', fingerprint, 'nonce', nonce, 'generation', generation,
    'lanes', ARGV[arg + 6])
  if generation ~= '0' and redis.call('HEXISTS', ours .. 'stand:' .. id, 'parked') == 1 then -- others wait for this replay
    redis.call('HSET', mark, 'released', string.format('%.0f', now))
  end
  if due <= now and ARGV[arg + 6] .. ARGV[arg + 7] ~= '' then -- a delayed one stands in its lanes once it is due: join.lua
    if enter(id, job_id, score, split(ARGV[arg + 6]), split(ARGV[arg + 7]), generation ~= '0') then score = FAR end
  end
  redis.call('ZADD', queue, score, job_id)
end

redis.call('INCRBY', ours .. 'enqueued', #accepted)
ring()
return replies
