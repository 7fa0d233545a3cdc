"""Lua scripts of the queue. Redis runs each one as a single atomic step.

Only this package knows the keys of a job in Redis. `QueueClient` runs the scripts, each after PRELUDE:

    job:{id}            hash    job, asked (JSON) · state · seq · attempt · worker · takeovers · cancel_by · resource ·
                                token (of the granted claim) · delivery (the newest) · missed_at
    job:{id}:events     list    its events (JSON), oldest first
    job:{id}:newest     hash    its newest transient events (JSON) by kind
    job:{id}:approvers  set     the people who approved it
    request:{key}       string  the id of the job that was reserved for this request
    jobs                zset    all jobs, by the time of the request
    open                set     the jobs that have not ended
    changed             zset    the jobs with changes that no card shows yet, by the time of the first such change
    outbox              zset    the jobs to deliver later, by the time they are due. A delivered job stays in it, due
                                for redelivery, until a worker claims it
    dramatiq:jobs       list    Dramatiq's queue of deliveries; dramatiq:jobs.msgs has their messages
    expiring            zset    the requests for approval, by the time they expire
    resource:{key}      list    the jobs of a resource in order: the first may run, the others wait
    workers             zset    the workers, by the time until which their lease lasts

Each script takes the key prefix as KEYS[1], and times in Unix seconds. Redis Cluster is not supported, because the
scripts build the names of their keys.
"""

PRELUDE = """
local REDELIVER_AFTER_S = 30
local RECHECK_AFTER_S = 1.1
local P = KEYS[1]
local function job_key(id) return P .. 'job:' .. id end

-- Return an event as JSON. `now` is copied as text: cjson writes 14 significant digits, too few for Unix time.
local function encode_event(now, fields)
  return '{"at_s":' .. now .. ',' .. string.sub(cjson.encode(fields), 2)
end

local function append(id, now, event)
  redis.call('RPUSH', job_key(id) .. ':events', event)
  redis.call('HINCRBY', job_key(id), 'seq', 1)
  redis.call('ZADD', P .. 'changed', 'NX', now, id)
end

-- Deliver a job in the step in which it becomes due. This does what Dramatiq 2.2 does in its dispatch.lua, with the
-- message format of its JSONEncoder. Dramatiq loses a message if the connection to the worker breaks. Therefore an
-- unclaimed job is delivered again, unless its last delivery is still in the queue because all workers are busy.
local function deliver(id, now)
  redis.call('ZADD', P .. 'outbox', now + REDELIVER_AFTER_S, id)
  local delivery = redis.call('HGET', job_key(id), 'delivery')
  if delivery and redis.call('LPOS', P .. 'dramatiq:jobs', delivery) then return end
  delivery = id .. '.' .. redis.call('INCR', P .. 'last_delivery')
  redis.call('HSET', job_key(id), 'delivery', delivery)
  redis.call('HSET', P .. 'dramatiq:jobs.msgs', delivery, cjson.encode({
    queue_name = 'jobs', actor_name = 'run', args = {id}, kwargs = {}, options = {redis_message_id = delivery},
    message_id = delivery, message_timestamp = math.floor(now * 1000)}))
  redis.call('RPUSH', P .. 'dramatiq:jobs', delivery)
end

local function queue(id, now)
  redis.call('HSET', job_key(id), 'state', 'queued')
  append(id, now, encode_event(now, {kind = 'queued'}))
  deliver(id, now)
end

local function wait(id, now, behind)
  redis.call('HSET', job_key(id), 'state', 'waiting')
  append(id, now, encode_event(now, {kind = 'waiting', behind = behind}))
end

-- Append a job to the line of its resource. The first job in the line is queued, the others wait.
local function enter(id, now)
  local line = P .. 'resource:' .. redis.call('HGET', job_key(id), 'resource')
  local last = redis.call('LINDEX', line, -1)
  redis.call('RPUSH', line, id)
  if last then wait(id, now, last) else queue(id, now) end
end

-- Remove a job from the line of its resource. The job behind it is queued, or waits for the job before it.
local function release(id, now)
  local line = P .. 'resource:' .. redis.call('HGET', job_key(id), 'resource')
  local members = redis.call('LRANGE', line, 0, -1)
  redis.call('LREM', line, 0, id)
  for place, member in ipairs(members) do
    local follower = members[place + 1]
    if member == id and follower then
      if place == 1 then queue(follower, now) else wait(follower, now, members[place - 1]) end
    end
  end
end

local function finish(id, now, state, event, retention_s)
  append(id, now, event)
  redis.call('HSET', job_key(id), 'state', state)
  redis.call('SREM', P .. 'open', id)
  redis.call('ZREM', P .. 'expiring', id)
  redis.call('ZREM', P .. 'outbox', id)
  release(id, now)
  for _, suffix in ipairs({'', ':events', ':newest', ':approvers'}) do
    redis.call('EXPIRE', job_key(id) .. suffix, retention_s)
  end
end

local function is_held(id, attempt)
  local stored = redis.call('HMGET', job_key(id), 'state', 'attempt')
  return stored[1] == 'running' and stored[2] == attempt
end
"""

# → {id, 1 if new}
RESERVE = """
local key, job, asked, resource, now, retention_s = unpack(ARGV)
local known = redis.call('GET', P .. 'request:' .. key)
if known then return {known, 0} end
local id = tostring(redis.call('INCR', P .. 'last_job'))
redis.call('SET', P .. 'request:' .. key, id, 'EX', retention_s)
redis.call('HSET', job_key(id), 'job', job, 'asked', asked, 'resource', resource, 'state', 'reserved',
  'seq', 0, 'attempt', 0, 'takeovers', 0, 'worker', '', 'request', key)
redis.call('ZADD', P .. 'jobs', now, id)
redis.call('ZREMRANGEBYSCORE', P .. 'jobs', '-inf', now - retention_s)
redis.call('SADD', P .. 'open', id)
return {id, 1}
"""

# → 1 if the job was reserved and is deleted now
DISCARD = """
local id = ARGV[1]
if redis.call('HGET', job_key(id), 'state') ~= 'reserved' then return 0 end
redis.call('DEL', P .. 'request:' .. redis.call('HGET', job_key(id), 'request'), job_key(id))
for _, set in ipairs({'jobs', 'changed'}) do redis.call('ZREM', P .. set, id) end
redis.call('SREM', P .. 'open', id)
return 1
"""

# → 1 if the job was reserved and is in line now. The card already shows "queued"; only "waiting" needs an update.
SUBMIT = """
local id, now = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'reserved' then return 0 end
enter(id, now)
if redis.call('HGET', job_key(id), 'state') == 'queued' then redis.call('ZREM', P .. 'changed', id) end
return 1
"""

# → 1 if the job was reserved and waits for approval now
AWAIT_APPROVAL = """
local id, now, expires_at_s, event = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'reserved' then return 0 end
redis.call('HSET', job_key(id), 'state', 'awaiting_approval')
redis.call('ZADD', P .. 'expiring', expires_at_s, id)
append(id, now, event)
return 1
"""

# → 'approved' | 'counted' | 'repeated' | 'closed'
APPROVE = """
local id, now, by, count, event = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'awaiting_approval' then return 'closed' end
local expires_at_s = redis.call('ZSCORE', P .. 'expiring', id)
if expires_at_s and tonumber(expires_at_s) <= tonumber(now) then return 'closed' end
if redis.call('SADD', job_key(id) .. ':approvers', by) == 0 then return 'repeated' end
append(id, now, event)
if redis.call('SCARD', job_key(id) .. ':approvers') < tonumber(count) then return 'counted' end
redis.call('ZREM', P .. 'expiring', id)
enter(id, now)
return 'approved'
"""

# → 1 if the job waited for approval and has ended now
CLOSE = """
local id, now, final_state, event, retention_s = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'awaiting_approval' then return 0 end
finish(id, now, final_state, event, retention_s)
return 1
"""

# → {'started', attempt} | {'busy'} | {'refused'} | {'lost'}
CLAIM = """
local id, now, worker, max_takeovers, recheck_s, retention_s, token = unpack(ARGV)
local state, holder, resource, holder_token, holder_attempt =
  unpack(redis.call('HMGET', job_key(id), 'state', 'worker', 'resource', 'token', 'attempt'))
redis.call('ZREM', P .. 'outbox', id)
if state ~= 'queued' and state ~= 'running' then return {'refused'} end
if redis.call('LINDEX', P .. 'resource:' .. resource, 0) ~= id then return {'refused'} end
-- This worker has the job already: the reply to its first request was lost.
if state == 'running' and holder_token == token then return {'started', tonumber(holder_attempt)} end
local took_over = state == 'running'
if took_over then
  local alive_until = redis.call('ZSCORE', P .. 'workers', holder)
  if alive_until and tonumber(alive_until) > tonumber(now) then
    redis.call('HDEL', job_key(id), 'missed_at')
    redis.call('ZADD', P .. 'outbox', now + recheck_s, id)
    return {'busy'}
  end
  -- After an outage of Redis every lease has run out. A live worker has a second to send a heartbeat.
  local missed_at = redis.call('HGET', job_key(id), 'missed_at')
  if not missed_at or now - missed_at < 1 then
    redis.call('HSETNX', job_key(id), 'missed_at', now)
    redis.call('ZADD', P .. 'outbox', now + RECHECK_AFTER_S, id)
    return {'busy'}
  end
  redis.call('HDEL', job_key(id), 'missed_at')
  if redis.call('HINCRBY', job_key(id), 'takeovers', 1) > tonumber(max_takeovers) then
    local reason = max_takeovers + 1 .. ' workers stopped while they ran this job. It will not be tried again.'
    finish(id, now, 'lost', encode_event(now, {kind = 'lost', reason = reason}), retention_s)
    return {'lost'}
  end
end
local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
redis.call('HSET', job_key(id), 'state', 'running', 'worker', worker, 'token', token)
redis.call('DEL', job_key(id) .. ':newest')
append(id, now, encode_event(now, {kind = 'started', attempt = attempt, worker = worker, took_over = took_over}))
return {'started', attempt}
"""

# → 1 if the event was appended
APPEND = """
local id, now, attempt, event = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
append(id, now, event)
return 1
"""

# → 1 if the event replaced the last one of its kind
APPEND_TRANSIENT = """
local id, now, attempt, kind, event = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
redis.call('HSET', job_key(id) .. ':newest', kind, event)
redis.call('HINCRBY', job_key(id), 'seq', 1)
redis.call('ZADD', P .. 'changed', 'NX', now, id)
return 1
"""

# → 1 if the job has ended now
FINISH = """
local id, now, attempt, final_state, event, retention_s = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
finish(id, now, final_state, event, retention_s)
return 1
"""

# → 1 if the job is queued again. It stays the first in the line of its resource.
REQUEUE = """
local id, now, attempt, due_at_s, event = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
append(id, now, event)
redis.call('HSET', job_key(id), 'state', 'queued')
redis.call('ZADD', P .. 'outbox', due_at_s, id)
return 1
"""

# → 'cancelled' | 'requested' | 'repeated' | 'closed'
CANCEL = """
local id, now, by, cancelled, requested, retention_s = unpack(ARGV)
local state, cancel_by = unpack(redis.call('HMGET', job_key(id), 'state', 'cancel_by'))
if state == 'running' then
  if cancel_by then return 'repeated' end
  redis.call('HSET', job_key(id), 'cancel_by', by)
  append(id, now, requested)
  return 'requested'
end
if state == 'queued' or state == 'waiting' or state == 'reserved' or state == 'awaiting_approval' then
  finish(id, now, 'cancelled', cancelled, retention_s)
  return 'cancelled'
end
return 'closed'
"""

# → 1 if the job has not changed since `rendered_seq`
MARK_RENDERED = """
local id, rendered_seq = unpack(ARGV)
local seq = redis.call('HGET', job_key(id), 'seq')
if seq and seq ~= rendered_seq then return 0 end
redis.call('ZREM', P .. 'changed', id)
return 1
"""

# → the number of jobs that were due. Each is delivered, unless a delivery is still in the queue.
DELIVER_DUE = """
local now = ARGV[1]
local due = redis.call('ZRANGEBYSCORE', P .. 'outbox', '-inf', now)
for _, id in ipairs(due) do
  redis.call('ZREM', P .. 'outbox', id)
  deliver(id, now)
end
return #due
"""
