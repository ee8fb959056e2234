-- Accept commands: all keys of all of them in one step, so a command is queued and marked, or neither.
--
-- KEYS[1]          the queue: arq's sorted set of job ids, scored by the time they are due
-- KEYS[4i-2..4i+1] of command i: arq's job, our mark, the result, the failures so far
-- ARGV[1]          most jobs that may wait in the queue, or "" for no limit
-- ARGV[8i-6..8i+1] of command i: job id, envelope (JSON), fingerprint, nonce of this call, generation,
--                  due: "+ms" from now or "ms" since 1970, deadline: the same or "", "" (ordering keys, later)
-- Reply            per command "accepted", "duplicate" or "conflict"; or the one word "full": nothing was accepted
--
-- A call that is repeated because its reply was lost has the same nonce, and gets the same answer.

local function at(text, now)
  if text == '' then return nil end
  if string.sub(text, 1, 1) == '+' then return now + tonumber(string.sub(text, 2)) end
  return tonumber(text)
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local commands = (#KEYS - 1) / 4
local replies, accepted = {}, {}

for i = 1, commands do
  local key, arg = 4 * i - 2, 8 * i - 6
  local fingerprint, nonce, generation = ARGV[arg + 2], ARGV[arg + 3], tonumber(ARGV[arg + 4])
  local mark = redis.call('HMGET', KEYS[key + 1], 'fingerprint', 'nonce', 'generation')
  if accepted[KEYS[key]] then
    replies[i] = accepted[KEYS[key]] == fingerprint and 'duplicate' or 'conflict'
  elseif not mark[1] or generation > tonumber(mark[3]) then
    replies[i] = 'accepted'
    accepted[KEYS[key]] = fingerprint
    accepted[#accepted + 1] = i
  elseif mark[1] == fingerprint then
    local again = mark[2] == nonce -- this very call, repeated: its first of an id was accepted
    replies[i] = again and 'accepted' or 'duplicate'
    accepted[KEYS[key]] = again and fingerprint or nil
  else
    replies[i] = 'conflict'
  end
end

if ARGV[1] ~= '' and #accepted > 0 and redis.call('ZCARD', KEYS[1]) + #accepted > tonumber(ARGV[1]) then
  return 'full'
end

for _, i in ipairs(accepted) do
  local key, arg = 4 * i - 2, 8 * i - 6
  local due = math.max(1, at(ARGV[arg + 5], now)) -- arq takes a score of 0 for none, and would never run it
  local deadline = at(ARGV[arg + 6], now)
  local stamp = string.format('{"accepted":%.0f,"due":%.0f,"deadline":%s}', now, due,
    deadline and string.format('%.0f', deadline) or 'null')
  local job = '{"t":null,"f":"execute","k":{},"a":[' .. ARGV[arg + 1] .. ',' .. stamp .. ']'
    .. string.format(',"et":%.0f}', now)
  redis.call('SET', KEYS[key], job)
  redis.call('DEL', KEYS[key + 1], KEYS[key + 2], KEYS[key + 3])
  redis.call('HSET', KEYS[key + 1], 'fingerprint', ARGV[arg + 2], 'nonce', ARGV[arg + 3], 'generation', ARGV[arg + 4])
  redis.call('ZADD', KEYS[1], due, ARGV[arg])
end

return replies
