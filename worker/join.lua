#!lua flags=allow-oom
-- Have a delayed command, now that it is due, stand in its lanes.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV[1..3]  its id, its job id, when it was due (ms since 1970)
-- ARGV[4]  how many lanes, the lanes; how many rows it refers to, their lanes
-- Reply    1 where it may run, 0 where it has to wait

local function slice(first)
  local words = {}
  for i = first + 1, first + ARGV[first] do words[#words + 1] = ARGV[i] end
  return words
end

local id, lanes = ARGV[1], slice(4)
local stand = ours .. 'stand:' .. id
if redis.call('HEXISTS', stand, 'free') == 1 then
  redis.call('DEL', stand)
  redis.call('ZREM', ours .. 'waiting', id)
  return 1
end
if redis.call('EXISTS', stand) == 1 then return 0 end
if redis.call('LINDEX', ours .. 'lane:' .. lanes[1], 0) == id then return 1 end -- it came before
return enter(id, ARGV[2], ARGV[3], lanes, slice(5 + #lanes), false, true) and 0 or 1
