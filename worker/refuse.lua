#!lua flags=allow-oom
-- Take a job out of the queue that was refused, and keep it among the latest of these.
--
-- KEYS[1]  the queue      KEYS[2]  the bell
-- ARGV[1]  its job id     ARGV[2]  SHA-1 of its bytes: others that came in their place since are left alone
-- ARGV[3]  why, one word      ARGV[4]  what is kept of it (JSON, but for the time)      ARGV[5]  most that are kept
-- ARGV[6]  the command id in its job id, or ""      ARGV[7]  the generation there
-- Reply    1, or 0 where this job is not there any more
--
-- What is known of a command of that id is another's: of one that has ended, of one that is dead and holds its
-- lanes, of another generation. Only where it can be of this job alone is it forgotten, and may be sent again.
-- A replay of one that is dead and held its lanes gives them back to it, and may be sent again.

local job_id, id = ARGV[1], ARGV[6]
local body = redis.call('GET', 'arq:job:' .. job_id)
if not body or redis.sha1hex(body) ~= ARGV[2] or redis.call('ZREM', queue, job_id) == 0 then return 0 end
redis.call('DEL', 'arq:job:' .. job_id, 'arq:in-progress:' .. job_id, 'arq:engine:' .. job_id,
  'arq:retry:' .. job_id, ours .. 'failures:' .. job_id)
redis.call('ZREM', 'arq:leases:' .. queue, job_id)
redis.pcall('HINCRBY', ours .. 'refusals', ARGV[3], 1)
redis.pcall('LPUSH', ours .. 'refused', string.format('{"at":%.0f,', now) .. string.sub(ARGV[4], 2))
redis.pcall('LTRIM', ours .. 'refused', 0, ARGV[5] - 1)
local mark = ours .. 'mark:' .. id
if id ~= '' and redis.call('HGET', mark, 'generation') == ARGV[7] and redis.call('PTTL', mark) == -1
  and redis.call('HEXISTS', ours .. 'stand:' .. id, 'parked') == 0 then
  local lanes = lanes_of(id)
  if ARGV[7] ~= '0' and redis.call('HEXISTS', mark, 'released') == 1 then -- the dead one holds its lanes, as before
    redis.call('HSET', mark, 'generation', ARGV[7] - 1)
    redis.call('HDEL', mark, 'released')
    park(id, lanes)
  else
    redis.call('DEL', mark)
    if leave(id, lanes) then ring() end
  end
end
return 1
