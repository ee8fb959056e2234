#!lua flags=allow-oom
-- Look at commands that wait: set those free that need not any more, and find those whose job is gone from the
-- queue while others wait for them: a worker has finished it that knows of no lanes, or somebody deleted it. One
-- that waits though nothing is written of what it waits for, as after a loss, is made due.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV[1]  most to look at: those first that were not looked at for the longest time
-- Reply    {how many were looked at, of each command whose job is gone {its id, its generation}}

local gone, asked, freed = {}, {}, false

local function ask(id)
  if asked[id] or redis.call('HEXISTS', ours .. 'stand:' .. id, 'parked') == 1 then return end
  asked[id] = true
  local generation = redis.call('HGET', ours .. 'mark:' .. id, 'generation') or '0'
  local job_id = queue .. ':' .. id .. (generation == '0' and '' or ':' .. generation)
  local score = redis.call('ZSCORE', queue, job_id)
  if not score then
    gone[#gone + 1] = {id, generation}
  elseif tonumber(score) >= 1e14 and redis.call('EXISTS', ours .. 'stand:' .. id) == 0 then
    redis.call('ZADD', queue, 'XX', string.format('%.0f', now), job_id)
    freed = true
  end
end

local waiting = redis.call('ZRANGEBYSCORE', ours .. 'waiting', '-inf', now - 4000, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(waiting) do
  redis.call('ZADD', ours .. 'waiting', string.format('%.0f', now), id)
  local free, stand = set_free(id)
  if #stand == 0 then redis.call('ZREM', ours .. 'waiting', id) end
  if free then
    freed = true
  else
    for i = 1, #stand, 2 do
      local kind, name = string.match(stand[i], '^(%a+):?(.*)$')
      if kind == 'lane' then
        local head = redis.call('LINDEX', ours .. 'lane:' .. name, 0)
        if head then ask(head) end
      elseif kind == 'behind' then
        ask(name)
      end
    end
  end
end
if freed then ring() end
return {#waiting, gone}
