-- Lanes: what stands in one runs in its order. Every script about them begins with this.
--
-- crud:{queue}:lane:{name}    list of command ids in the order of their acceptance; the first may run
-- crud:{queue}:stand:{id}     hash of a command that may not run yet, or holds its lanes after its death: its `job`,
--                             when it is `due`, a field `lane:{name}` for each lane, a field `behind:{id}` for each
--                             command that it waits behind; `parked` if it is dead, `late` if it came when it was
--                             claimed, and `free` once such a one may run
-- crud:{queue}:mark:{id}      hash of what was accepted; its field `lanes` has their names, with NULs between, and
--                             `released` the time when a person replayed it, or what it waited for, or dropped that
-- crud:{queue}:behind:{id}    set of the commands that wait behind this one, outside its lanes
-- crud:{queue}:waiting        sorted set of the commands that may not run yet, by the time they were looked at
-- crud:{queue}:parked         sorted set of the dead commands that hold their lanes, by the time of their death
--
-- What holds a lane is the command at its head, and nothing else: there is no lock that could leak. A command
-- enters all its lanes in one script, and waits for none that entered after it: there is no circle. A replay
-- that still has its place keeps it, and waits for no row that it refers to.

local queue, bell = KEYS[1], KEYS[2]
local ours = 'crud:' .. queue .. ':'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local FAR = '253402300799999' -- the score of a job that waits: the last millisecond of the year 9999

local function ring()
  if redis.call('LLEN', bell) == 0 then redis.call('LPUSH', bell, '1') end
end

local function fields(key, pairs)
  for i = 1, #pairs, 2000 do redis.call('HSET', key, unpack(pairs, i, math.min(i + 1999, #pairs))) end
end

-- Have a command that comes again keep its place, if it has one in all of its lanes; else it has none in any.
local function keep_place(id, lanes)
  local places = 0
  for _, name in ipairs(lanes) do
    if redis.call('LPOS', ours .. 'lane:' .. name, id) then places = places + 1 end
  end
  if places > 0 and places == #lanes then return true end
  for _, name in ipairs(lanes) do redis.call('LREM', ours .. 'lane:' .. name, 0, id) end
  return false
end

-- Stand in lanes, at their end; say whether it has to wait. One that comes `again` keeps the place it has.
local function enter(id, job, due, lanes, refs, again, late)
  if #lanes == 1 and #refs == 0 and not again then -- as most do: only where it waits is anything written of it
    if redis.call('RPUSH', ours .. 'lane:' .. lanes[1], id) == 1 then return false end
    fields(ours .. 'stand:' .. id, late and {'job', job, 'due', due, 'lane:' .. lanes[1], '', 'late', ''}
      or {'job', job, 'due', due, 'lane:' .. lanes[1], ''})
    redis.call('ZADD', ours .. 'waiting', string.format('%.0f', now), id)
    return true
  end
  local own, stand, waits = {}, {'job', job, 'due', due}, false
  local placed = again and keep_place(id, lanes)
  if again then
    redis.call('DEL', ours .. 'stand:' .. id)
    redis.call('ZREM', ours .. 'parked', id)
  end
  for _, name in ipairs(lanes) do
    own[name] = true
    stand[#stand + 1] = 'lane:' .. name
    stand[#stand + 1] = ''
  end
  for _, name in ipairs(placed and {} or refs) do -- the rows it refers to: whoever is last there now goes before it
    local last = not own[name] and redis.call('LINDEX', ours .. 'lane:' .. name, -1)
    if last and last ~= id then
      redis.call('SADD', ours .. 'behind:' .. last, id)
      stand[#stand + 1] = 'behind:' .. last
      stand[#stand + 1] = ''
      waits = true
    end
  end
  for _, name in ipairs(lanes) do
    local lane = ours .. 'lane:' .. name
    if placed then waits = waits or redis.call('LINDEX', lane, 0) ~= id
    elseif redis.call('RPUSH', lane, id) > 1 then waits = true end
  end
  if not waits then return false end
  if late then
    stand[#stand + 1] = 'late'
    stand[#stand + 1] = ''
  end
  fields(ours .. 'stand:' .. id, stand)
  redis.call('ZADD', ours .. 'waiting', string.format('%.0f', now), id)
  return true
end

-- Let a command run, if nothing is before it any more; say whether it may, and what is written of it. Where it
-- waited for a person, it is as good as accepted when that one `released` it: worker/window.py.
local function set_free(id, released)
  local key, job, due, late = ours .. 'stand:' .. id, nil, nil, false
  local mark = ours .. 'mark:' .. id
  if released and redis.call('EXISTS', mark) == 1 then
    local before = tonumber(redis.call('HGET', mark, 'released') or 0)
    if before < tonumber(released) then redis.call('HSET', mark, 'released', released) end
  end
  local stand = redis.call('HGETALL', key)
  for i = 1, #stand, 2 do
    local name, kind = stand[i], string.match(stand[i], '^(%a+)')
    local head = kind == 'lane' and redis.call('LINDEX', ours .. name, 0)
    if head and head ~= id then return false, stand end
    if kind == 'behind' or kind == 'parked' then return false, stand end
    if kind == 'job' then job = stand[i + 1] elseif kind == 'due' then due = stand[i + 1] end
    late = late or kind == 'late'
  end
  if not job then return false, stand end
  if late then
    redis.call('HSET', key, 'free', '') -- it is on its way to wait: the sweep looks whether it has been heard
  else
    redis.call('DEL', key)
    redis.call('ZREM', ours .. 'waiting', id)
  end
  redis.call('ZADD', queue, 'XX', due, job)
  return true, stand
end

-- Name the lanes of a command, from what is written down of it.
local function lanes_of(id)
  local names = {}
  for _, field in ipairs(redis.call('HKEYS', ours .. 'stand:' .. id)) do
    if string.sub(field, 1, 5) == 'lane:' then names[#names + 1] = string.sub(field, 6) end
  end
  if #names > 0 then return names end
  for name in string.gmatch(redis.call('HGET', ours .. 'mark:' .. id, 'lanes') or '', '[^%z]+') do
    names[#names + 1] = name
  end
  return names
end

-- Take a command out of its lanes, and set free those that it kept waiting; say whether there are any.
local function leave(id, lanes, released)
  local following, tried, freed = {}, {}, false
  for _, name in ipairs(lanes) do
    local lane = ours .. 'lane:' .. name
    local ahead = redis.call('LRANGE', lane, 0, 1)
    if ahead[1] == id then
      redis.call('LPOP', lane)
      if ahead[2] then following[#following + 1] = ahead[2] end
    elseif ahead[1] then
      redis.call('LREM', lane, 1, id) -- it was cancelled while it waited
    end
  end
  local job = redis.call('HGET', ours .. 'stand:' .. id, 'job')
  if job then redis.call('ZADD', queue, 'XX', string.format('%.0f', now), job) end -- it ended while its job waited
  local behind = ours .. 'behind:' .. id
  for _, child in ipairs(redis.call('SMEMBERS', behind)) do
    redis.call('HDEL', ours .. 'stand:' .. child, 'behind:' .. id)
    following[#following + 1] = child
  end
  if redis.call('DEL', behind, ours .. 'stand:' .. id) > 0 then
    redis.call('ZREM', ours .. 'waiting', id)
    redis.call('ZREM', ours .. 'parked', id)
  end
  for _, other in ipairs(following) do -- once each, though it may follow in a thousand lanes
    freed = not tried[other] and set_free(other, released) or freed
    tried[other] = true
  end
  return freed
end

-- Have a dead command keep its lanes: what stands behind it waits until it is replayed or dropped.
local function park(id, lanes)
  if #lanes == 0 then return end
  local stand, at = {'parked', ''}, string.format('%.0f', now)
  for _, name in ipairs(lanes) do
    if redis.call('LINDEX', ours .. 'lane:' .. name, 0) ~= id then return end -- it is late: somebody has let them go
    stand[#stand + 1] = 'lane:' .. name
    stand[#stand + 1] = ''
  end
  fields(ours .. 'stand:' .. id, stand)
  redis.call('ZADD', ours .. 'parked', at, id)
end
