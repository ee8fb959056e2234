#!lua flags=allow-oom
-- Settle jobs: finish them, put them off, or hand them back. It may be repeated: a repetition finds
-- that the job is not the owner's any more, and does nothing.
--
-- KEYS[1]  the queue      KEYS[2]  arq's sorted set of jobs to abort      KEYS[3]  the bell
-- KEYS[4]  the leases
-- ARGV[7i-6..7i] of job i: id, the owner's token, what to do,
--   "finish": result or "", ms to keep it or "" for ever, ms to keep the in-progress key or "", its value then
--   "later":  ms until it is due       "wait": the same, and this run does not count
--   "again":  the score it had         "back": the same, and this run does not count
-- Reply    per job 1, or 0 where it is not the owner's any more and nothing was done; it still is where the lease
--          has run out and nobody else has claimed the job since

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local queue, replies, due, aborts = KEYS[1], {}, false, redis.call('EXISTS', KEYS[2]) == 1

for i = 1, #ARGV, 7 do
  local id, verb, value = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local progress, state = 'arq:in-progress:' .. id, 'arq:engine:' .. id
  local owner = redis.call('GET', progress) or redis.call('HGET', state, 'owner')
  local is_queued = verb == 'finish' and 'ZREM' or 'ZSCORE' -- one call fewer: each tells whether it was there
  local held = owner == ARGV[i + 1] and (redis.call(is_queued, queue, id) or 0) ~= 0
  replies[#replies + 1] = held and 1 or 0
  if held then redis.call('ZREM', KEYS[4], id) end
  if held and verb == 'finish' then
    redis.call('DEL', progress, state, 'arq:job:' .. id, 'arq:retry:' .. id)
    if aborts then redis.call('ZREM', KEYS[2], id) end
    if value ~= '' then -- a Redis that has no room loses the result and not the job
      if ARGV[i + 4] == '' then redis.pcall('SET', 'arq:result:' .. id, value)
      else redis.pcall('SET', 'arq:result:' .. id, value, 'PX', ARGV[i + 4]) end
    end
    if ARGV[i + 5] ~= '' then redis.pcall('SET', progress, ARGV[i + 6], 'PX', ARGV[i + 5]) end
  elseif held then
    redis.call('DEL', progress)
    redis.call('HDEL', state, 'owner', 'score', (verb == 'later' or verb == 'again') and 'open' or '')
    local uncounted = (verb == 'back' or verb == 'wait') and {'tries', 'open'} or {}
    for _, count in ipairs(uncounted) do redis.call('HINCRBY', state, count, -1) end
    local score = (verb == 'later' or verb == 'wait') and string.format('%.0f', now + value) or value
    redis.call('ZADD', queue, 'XX', score, id)
    due = due or tonumber(score) <= now
  end
end

if due and redis.call('LLEN', KEYS[3]) == 0 then redis.call('LPUSH', KEYS[3], '1') end
return replies
