#!lua flags=allow-oom
-- Renew leases.
--
-- KEYS[1]  the queue      KEYS[2]  the leases
-- ARGV[1]  ms that a lease lives      ARGV[2i..2i+1]  of lease i: job id, the owner's token
-- Reply    per lease 1, or 0 where it is lost: the job is gone or somebody else's. One that has run out, and that
--          nobody else has claimed since, is had again.

local time = redis.call('TIME')
local ends = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + ARGV[1])
local replies = {}
for i = 2, #ARGV, 2 do
  local id, token, held = ARGV[i], ARGV[i + 1], 0
  local progress = 'arq:in-progress:' .. id
  local owner = redis.call('GET', progress) or redis.call('HGET', 'arq:engine:' .. id, 'owner')
  if owner == token and redis.call('ZSCORE', KEYS[1], id) then
    redis.call('SET', progress, token, 'PX', ARGV[1])
    redis.call('ZADD', KEYS[2], ends, id)
    redis.call('ZADD', KEYS[1], 'XX', ends, id) -- also where `abort` has set it to 1
    held = 1
  end
  replies[i / 2] = held
end
return replies
