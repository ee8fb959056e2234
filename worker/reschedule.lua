#!lua flags=allow-oom
-- Make a job due again after a pause. An absolute score, and only if it is still queued: repeating the call
-- moves it once, and a late call does not bring a finished job back.
--
-- KEYS[1]  the queue
-- ARGV[1]  the job id      ARGV[2]  the pause in milliseconds
-- Reply    how many were moved

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return redis.call('ZADD', KEYS[1], 'XX', 'CH', now + tonumber(ARGV[2]), ARGV[1])
