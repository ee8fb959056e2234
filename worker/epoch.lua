-- Return, unless this Redis is the one that was looked at: it begins scripts that are only for that one.
--
-- KEYS     the last: the epoch, a word that is gone when everything is, or all that came after it
-- ARGV     the last two: what the epoch was, or "" where it is not known; and which process of Redis said so, or ""
--          where that is known already, or Redis does not say
-- Reply    "lost"

local process, epoch = table.remove(ARGV), table.remove(ARGV)
if epoch == '' or redis.call('GET', KEYS[#KEYS]) ~= epoch then return 'lost' end
if process ~= '' and not string.find(redis.call('INFO', 'server'), 'run_id:' .. process, 1, true) then
  return 'lost'
end
