-- Publish what was changed.
--
-- KEYS[1]  the feed: a stream      (then the epoch: epoch.lua)
-- ARGV[1]  about how many events it holds: older ones go
-- and then for each event: position, command id, kind, entity, key, version or ""
-- Reply    how many

local names, count = {'position', 'command_id', 'kind', 'entity', 'key', 'version'}, 0
for i = 2, #ARGV, #names do
  local event = {}
  for place, name in ipairs(names) do
    event[2 * place - 1] = name
    event[2 * place] = ARGV[i + place - 1]
  end
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(event))
  count = count + 1
end
return count
