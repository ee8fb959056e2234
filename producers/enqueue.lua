-- Accept commands: all keys of all of them in one step, so a command is queued and marked, or neither.
--
-- KEYS[1]  the queue: arq's sorted set of job ids, scored by the time they are due
-- KEYS[2]  the bell: a list of at most one hint, for which an idle worker waits
-- ARGV[1]  most jobs that may wait in the queue, or "" for no limit      ARGV[2]  nonce of this call
-- ARGV[5i-2..5i+2] of command i: command id, envelope (JSON), fingerprint, generation,
--          "due deadline": each "+ms" from now or "ms" since 1970, and the deadline may be missing
-- Reply    per command "accepted", "duplicate" or "conflict"; or the one word "full": nothing was accepted
--
-- A call that is repeated because its reply was lost has the same nonce, and gets the same answer. The other
-- keys are made here from the queue's name and the ids, as producers/wire.py makes them.

local function at(text, now)
  if not text then return nil end
  if string.sub(text, 1, 1) == '+' then return now + tonumber(string.sub(text, 2)) end
  return tonumber(text)
end

local queue, bell, most, nonce = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ours = 'crud:' .. queue .. ':'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local replies, accepted = {}, {}

for arg = 3, #ARGV, 5 do
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
  elseif mark[1] == fingerprint then
    local again = mark[2] == nonce -- this very call, repeated: its first of an id was accepted
    reply = again and 'accepted' or 'duplicate'
    accepted[name] = again and fingerprint or nil
  end
  replies[#replies + 1] = reply
end

if #accepted == 0 then return replies end
if most ~= '' and redis.call('ZCARD', queue) + #accepted > tonumber(most) then return 'full' end

for _, arg in ipairs(accepted) do
  local id, fingerprint, generation = ARGV[arg], ARGV[arg + 2], ARGV[arg + 3]
  local starts, ends = string.match(ARGV[arg + 4], '^(%S+) ?(%S*)$')
  local due = math.max(1, at(starts, now)) -- arq takes a score of 0 for none, and would never run it
  local deadline = ends ~= '' and at(ends, now)
  local stamp = string.format('{"accepted":%.0f,"due":%.0f,"deadline":%s}', now, due,
    deadline and string.format('%.0f', deadline) or 'null')
  local job_id = queue .. ':' .. id .. (generation == '0' and '' or ':' .. generation)
  local mark = ours .. 'mark:' .. id
  redis.call('SET', 'arq:job:' .. job_id, '{"t":null,"f":"execute","k":{},"a":[' .. ARGV[arg + 1] .. ','
    .. stamp .. string.format('],"et":%.0f}', now))
  redis.call('DEL', mark, ours .. 'result:' .. id, ours .. 'failures:' .. job_id, 'arq:engine:' .. job_id)
  redis.call('HSET', mark, 'fingerprint', fingerprint, 'nonce', nonce, 'generation', generation)
  redis.call('ZADD', queue, due, job_id)
end

if redis.call('LLEN', bell) == 0 then redis.call('LPUSH', bell, '1') end
return replies
