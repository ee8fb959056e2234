-- Publish commands of the outbox, unless this Redis is not the one that was looked at: it begins enqueue.lua.
--
-- KEYS[3]  the epoch: a word that is gone when everything is, or all that came after it
-- ARGV     the last two: what the epoch was, and which process of Redis said so, or "" where it does not say

local process, epoch = table.remove(ARGV), table.remove(ARGV)
if redis.call('GET', KEYS[3]) ~= epoch then return 'lost' end
if process ~= '' and not string.find(redis.call('INFO', 'server'), 'run_id:' .. process, 1, true) then
  return 'lost'
end
