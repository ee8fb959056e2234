-- Return, while a person has paused the queue: it begins scripts that claim.
--
-- KEYS     the last: what a person has stopped, a hash
-- Reply    "paused"

if redis.call('HEXISTS', table.remove(KEYS), 'paused') == 1 then return 'paused' end
