#!lua flags=allow-oom
-- Claim jobs that are due, with their payloads, by the server's clock.
--
-- KEYS[1]  the queue: arq's sorted set of job ids, scored by the time they are due
-- KEYS[2]  arq's sorted set of jobs to abort      KEYS[3]  the bell: a list of at most one hint
-- KEYS[4]  the leases: ids that are claimed, scored by the end of their lease
-- ARGV[1]  most jobs to claim      ARGV[2]  ms that the lease lives      ARGV[3]  the owner's token
-- ARGV[4]  "1" where aborted jobs are to be found out
-- ARGV[5]  "1" where this claim was made before, and its reply was lost: what it claimed is claimed anew
-- Reply    {now, when the next job is due or -1, jobs in the queue, claim...}; each claim is
--          {id, score, tries, leases that ended without a word, "1" or "" for aborted, payload or nil}
--
-- The in-progress key decides who has a job, the score never does: a job whose key is there is passed over.
-- That of a job claimed here lives as long as its lease, and its score is the lease's end: it is out of the
-- way of the next look, and comes back by itself, before all others. A plain arq worker sees it in progress.

local queue, leases, most, lease, token = KEYS[1], KEYS[4], tonumber(ARGV[1]), ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ends = string.format('%.0f', now + lease)
local reply, claimed, passed = {now, -1, 0}, 0, 0

local function is_aborted(id)
  local since = ARGV[4] == '1' and redis.call('ZSCORE', KEYS[2], id)
  if since then redis.call('ZREM', KEYS[2], id) end
  return since and tonumber(since) > now - 60000
end

local function claim(id, score)
  local body, state, tries, open = redis.call('GET', 'arq:job:' .. id), 'arq:engine:' .. id, 0, 0
  if not body and redis.call('EXISTS', 'arq:result:' .. id) == 1 then -- it ended while it was being aborted
    redis.call('ZREM', queue, id)
    redis.call('DEL', 'arq:in-progress:' .. id, state)
    return
  end
  local job = body and redis.sha1hex(body) or ''
  local known = redis.call('HMGET', state, 'job', 'tries', 'open')
  if known[1] == job then tries, open = tonumber(known[2]), tonumber(known[3] or 0) end
  redis.call('HSET', state, 'job', job, 'tries', tries + 1, 'open', open + 1, 'owner', token, 'score', score)
  redis.call('ZADD', queue, 'XX', ends, id)
  redis.call('ZADD', leases, ends, id)
  claimed = claimed + 1
  reply[3 + claimed] = {id, score, tries + 1, open, is_aborted(id) and '1' or '', body}
end

if ARGV[5] == '1' then
  for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    if redis.call('GET', 'arq:in-progress:' .. id) == token then
      redis.call('DEL', 'arq:in-progress:' .. id)
      redis.call('HINCRBY', 'arq:engine:' .. id, 'tries', -1)
      redis.call('HINCRBY', 'arq:engine:' .. id, 'open', -1)
      redis.call('ZADD', queue, 'XX', redis.call('HGET', 'arq:engine:' .. id, 'score'), id)
      redis.call('ZREM', leases, id)
    end
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 1)) do -- others take theirs
  local known = redis.call('HMGET', 'arq:engine:' .. id, 'owner', 'score')
  local is_queued = redis.call('ZSCORE', queue, id)
  if is_queued and redis.call('SET', 'arq:in-progress:' .. id, token, 'NX', 'PX', lease) then
    claim(id, known[2] or is_queued)
  elseif not is_queued or redis.call('GET', 'arq:in-progress:' .. id) ~= known[1] then
    redis.call('ZREM', leases, id) -- a worker that goes by arq's rules has it, or had it
    if not is_queued then redis.call('DEL', 'arq:engine:' .. id) end
  end
end
local rest = claimed * 20 -- ms until the next look: it may have ended its worker, and comes without company

while claimed < most and rest == 0 do
  local due = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', passed, most - claimed)
  if #due == 0 then break end
  for i = 1, #due, 2 do
    local id, progress = due[i], 'arq:in-progress:' .. due[i]
    if redis.call('SET', progress, token, 'NX', 'PX', lease) then
      claim(id, due[i + 1])
    elseif redis.call('GET', progress) == 'done' then -- a unique cron job that ran already
      redis.call('ZREM', queue, id)
      redis.call('DEL', 'arq:job:' .. id, 'arq:engine:' .. id)
    else passed = passed + 1 end
  end
end

local following = redis.call('ZRANGEBYSCORE', queue, '-inf', '+inf', 'WITHSCORES', 'LIMIT', passed, 1)
if following[2] then
  reply[2] = string.format('%.0f', math.max(following[2], now + rest))
  if tonumber(following[2]) <= now and redis.call('LLEN', KEYS[3]) == 0 then
    redis.call('LPUSH', KEYS[3], '1') -- there is work for another worker
  end
end
reply[3] = redis.call('ZCOUNT', queue, '-inf', '(1e14') -- those beyond wait for somebody to make them due
return reply
