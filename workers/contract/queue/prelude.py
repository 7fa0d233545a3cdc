"""Lua functions that the queue's scripts share, and its keys in Redis. `QueueClient` runs PRELUDE before each script.

Only this package knows the keys of a job in Redis:

    job:{id}            hash    job, asked (JSON) · state · seq · attempt · worker · takeovers · cancel_by · resource ·
                                priority (high, normal or low) · token (of the granted claim) · delivery (the newest) ·
                                missed_at · left_at
    job:{id}:events     list    its events (JSON), oldest first
    job:{id}:newest     hash    its newest transient events (JSON) by kind
    job:{id}:approvers  set     the people who approved it
    request:{key}       string  the id of the job that was reserved for this request
    schedule:{id}       string  the newest job of a schedule
    jobs                zset    all jobs, by the time of the request
    open                set     the jobs that have not ended
    changed             zset    the jobs with changes that no card shows yet, by the time of the first such change
    outbox              zset    the jobs to deliver later, by the time they are due. A delivered job stays in it, due
                                for redelivery, until a worker claims it
    dramatiq:jobs       list    Dramatiq's queue of deliveries; dramatiq:jobs.msgs has their messages
    expiring            zset    the requests for approval, by the time they expire
    resource:{key}      list    the jobs of a resource in order: the first may run, the others wait
    workers             zset    the workers, by the time until which their lease lasts

Each script takes the key prefix as KEYS[1]. Times are in Unix seconds, and all come from Redis' own clock: a bot or a
worker passes durations only, so a wrong clock of its machine is harmless. Redis Cluster is not supported, because the
scripts build the names of their keys.
"""

PRELUDE = """
local REDELIVER_AFTER_S = 30
local RECHECK_AFTER_S = 1.1
local P = KEYS[1]
local clock = redis.call('TIME')
-- `now` is text: 14 significant digits, which Lua writes, are too few for Unix time.
local now = clock[1] .. '.' .. string.format('%06d', clock[2])
local function job_key(id) return P .. 'job:' .. id end
local function after(seconds) return string.format('%.6f', now + seconds) end

-- Return whether the keys of a job have the right types. Damaged jobs are passed over.
local function is_job(id)
  local events = redis.call('TYPE', job_key(id) .. ':events').ok
  return redis.call('TYPE', job_key(id)).ok == 'hash' and (events == 'list' or events == 'none')
end

-- Return a JSON object with the present time in it. Events arrive without a time.
local function stamp(object)
  return '{"at_s":' .. now .. ',' .. string.sub(object, 2)
end

local function append(id, event)
  redis.call('RPUSH', job_key(id) .. ':events', stamp(event))
  redis.call('HINCRBY', job_key(id), 'seq', 1)
  redis.call('ZADD', P .. 'changed', 'NX', now, id)
end

-- Deliver a job in the step in which it becomes due. This does what Dramatiq 2.2 does in its dispatch.lua, with the
-- message format of its JSONEncoder. Dramatiq loses a message if the connection to the worker breaks. Therefore an
-- unclaimed job is delivered again, unless its last delivery is still in the queue because all workers are busy.
local function deliver(id)
  redis.call('ZADD', P .. 'outbox', after(REDELIVER_AFTER_S), id)
  local delivery = redis.call('HGET', job_key(id), 'delivery')
  if delivery and redis.call('LPOS', P .. 'dramatiq:jobs', delivery) then return end
  delivery = id .. '.' .. redis.call('INCR', P .. 'last_delivery')
  redis.call('HSET', job_key(id), 'delivery', delivery)
  redis.call('HSET', P .. 'dramatiq:jobs.msgs', delivery, cjson.encode({
    queue_name = 'jobs', actor_name = 'run', args = {id}, kwargs = {}, options = {redis_message_id = delivery},
    message_id = delivery, message_timestamp = math.floor(now * 1000)}))
  redis.call('RPUSH', P .. 'dramatiq:jobs', delivery)
end

local function queue(id)
  redis.call('HSET', job_key(id), 'state', 'queued')
  append(id, cjson.encode({kind = 'queued'}))
  deliver(id)
end

local function wait(id, behind)
  redis.call('HSET', job_key(id), 'state', 'waiting')
  redis.call('ZREM', P .. 'outbox', id)
  append(id, cjson.encode({kind = 'waiting', behind = behind}))
end

-- Store the order of a line. A job that has another one before it now waits for that one. A new first job is queued.
local function arrange(line, members)
  local behind, last = {}, ''
  for _, member in ipairs(redis.call('LRANGE', line, 0, -1)) do
    behind[member], last = last, member
  end
  redis.call('DEL', line)
  for _, member in ipairs(members) do redis.call('RPUSH', line, member) end
  for place, member in ipairs(members) do
    if place == 1 then
      if behind[member] ~= '' then queue(member) end
    elseif behind[member] ~= members[place - 1] then
      wait(member, members[place - 1])
    end
  end
end

-- Return true if a change may go before the job: it sends load and was never started.
local function is_overtaken(id)
  local priority, attempt = unpack(redis.call('HMGET', job_key(id), 'priority', 'attempt'))
  return priority == 'low' and attempt == '0'
end

-- Put a job into the line of its resource: at the end, but an urgent job goes before the load tests that have not
-- started. So do the changes that wait already, because changes keep their order.
local function enter(id)
  local line = P .. 'resource:' .. redis.call('HGET', job_key(id), 'resource')
  local members, overtaken = redis.call('LRANGE', line, 0, -1), {}
  if redis.call('HGET', job_key(id), 'priority') == 'high' then
    for place = #members, 1, -1 do
      if is_overtaken(members[place]) then table.insert(overtaken, 1, table.remove(members, place)) end
    end
  end
  table.insert(members, id)
  for _, member in ipairs(overtaken) do table.insert(members, member) end
  arrange(line, members)
end

-- Remove a job from the line of its resource. The job behind it is queued, or waits for the job before it.
local function release(id)
  local line = P .. 'resource:' .. redis.call('HGET', job_key(id), 'resource')
  local members = {}
  for _, member in ipairs(redis.call('LRANGE', line, 0, -1)) do
    if member ~= id then table.insert(members, member) end
  end
  arrange(line, members)
end

local function finish(id, state, event, retention_s)
  append(id, event)
  redis.call('HSET', job_key(id), 'state', state)
  redis.call('SREM', P .. 'open', id)
  redis.call('ZREM', P .. 'expiring', id)
  redis.call('ZREM', P .. 'outbox', id)
  release(id)
  for _, suffix in ipairs({'', ':events', ':newest', ':approvers'}) do
    redis.call('EXPIRE', job_key(id) .. suffix, retention_s)
  end
end

local function is_held(id, attempt)
  local stored = redis.call('HMGET', job_key(id), 'state', 'attempt')
  return stored[1] == 'running' and stored[2] == attempt
end
"""
