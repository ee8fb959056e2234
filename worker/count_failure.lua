#!lua flags=allow-oom
-- Count a failure of a job, by reason, for good.
--
-- KEYS[1]  the failures so far: a hash, without a time to live; deposit.lua deletes it
-- ARGV[1]  the reason      ARGV[2]  a nonce of this call, so that repeating it counts once
-- Reply    {how many, how many milliseconds ago the first was}

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if redis.call('HGET', KEYS[1], 'nonce') ~= ARGV[2] then
  redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
  redis.call('HSET', KEYS[1], 'nonce', ARGV[2])
  redis.call('HSETNX', KEYS[1], ARGV[1] .. ':since', string.format('%.0f', now))
end
local since = tonumber(redis.call('HGET', KEYS[1], ARGV[1] .. ':since'))
return {tonumber(redis.call('HGET', KEYS[1], ARGV[1])), now - since}
