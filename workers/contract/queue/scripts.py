"""Lua scripts of the queue. Redis runs each one as a single atomic step, after PRELUDE."""

# → {'new', id, time of the request} | {'known', id} |
#   {'previous', id of the schedule's job that has not ended, its state}
RESERVE = """
local key, job, asked, resource, priority, schedule, retention_s = unpack(ARGV)
local known = redis.call('GET', P .. 'request:' .. key)
if known then return {'known', known} end
if schedule ~= '' then
  local previous = redis.call('GET', P .. 'schedule:' .. schedule)
  local state = previous and redis.call('HGET', job_key(previous), 'state')
  if state and redis.call('SISMEMBER', P .. 'open', previous) == 1 then return {'previous', previous, state} end
end
local id = tostring(redis.call('INCR', P .. 'last_job'))
redis.call('SET', P .. 'request:' .. key, id, 'EX', retention_s)
redis.call('HSET', job_key(id), 'job', job, 'asked', stamp(asked), 'resource', resource, 'priority', priority,
  'state', 'reserved', 'seq', 0, 'attempt', 0, 'takeovers', 0, 'worker', '', 'request', key)
redis.call('ZADD', P .. 'jobs', now, id)
redis.call('ZREMRANGEBYSCORE', P .. 'jobs', '-inf', after(-retention_s))
redis.call('SADD', P .. 'open', id)
if schedule ~= '' then redis.call('SET', P .. 'schedule:' .. schedule, id, 'EX', retention_s) end
return {'new', id, now}
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
local id = ARGV[1]
if redis.call('HGET', job_key(id), 'state') ~= 'reserved' then return 0 end
enter(id)
if redis.call('HGET', job_key(id), 'state') == 'queued' then redis.call('ZREM', P .. 'changed', id) end
return 1
"""

# → 1 if the job was reserved and waits for approval now
AWAIT_APPROVAL = """
local id, expires_at_s, event = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'reserved' then return 0 end
redis.call('HSET', job_key(id), 'state', 'awaiting_approval')
redis.call('ZADD', P .. 'expiring', expires_at_s, id)
append(id, event)
return 1
"""

# → 1 if the job waits for approval, and all approvals are void now
ASK_AGAIN = """
local id, expires_at_s, event = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'awaiting_approval' then return 0 end
redis.call('DEL', job_key(id) .. ':approvers')
redis.call('ZADD', P .. 'expiring', expires_at_s, id)
append(id, event)
return 1
"""

# → 'approved' | 'counted' | 'repeated' | 'closed'
APPROVE = """
local id, by, count, event = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'awaiting_approval' then return 'closed' end
local expires_at_s = redis.call('ZSCORE', P .. 'expiring', id)
if expires_at_s and tonumber(expires_at_s) <= tonumber(now) then return 'closed' end
if redis.call('SADD', job_key(id) .. ':approvers', by) == 0 then return 'repeated' end
append(id, event)
if redis.call('SCARD', job_key(id) .. ':approvers') < tonumber(count) then return 'counted' end
redis.call('ZREM', P .. 'expiring', id)
enter(id)
return 'approved'
"""

# → 1 if the job waited for approval and has ended now
CLOSE = """
local id, final_state, event, retention_s = unpack(ARGV)
if redis.call('HGET', job_key(id), 'state') ~= 'awaiting_approval' then return 0 end
finish(id, final_state, event, retention_s)
return 1
"""

# → the number of requests for approval that expired. Their jobs have ended now.
EXPIRE_DUE = """
local due = redis.call('ZRANGEBYSCORE', P .. 'expiring', '-inf', now)
for _, id in ipairs(due) do
  if is_job(id) then finish(id, 'expired', cjson.encode({kind = 'expired'}), ARGV[1]) end
  redis.call('ZREM', P .. 'expiring', id)
end
return #due
"""

# → nil. The worker's lease is renewed, and the workers that stopped an hour ago are deleted.
HEARTBEAT = """
local worker, lease_s = unpack(ARGV)
redis.call('ZADD', P .. 'workers', after(lease_s), worker)
redis.call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', after(-3600))
"""

# → the names of the workers with a lease
WORKERS = "return redis.call('ZRANGEBYSCORE', P .. 'workers', now, '+inf')"

# → {'started', attempt, time} | {'busy'} | {'refused'} | {'lost'}
CLAIM = """
local id, worker, max_takeovers, recheck_s, retention_s, token = unpack(ARGV)
local state, holder, resource, holder_token, holder_attempt =
  unpack(redis.call('HMGET', job_key(id), 'state', 'worker', 'resource', 'token', 'attempt'))
redis.call('ZREM', P .. 'outbox', id)
if state ~= 'queued' and state ~= 'running' then return {'refused'} end
if redis.call('LINDEX', P .. 'resource:' .. resource, 0) ~= id then return {'refused'} end
-- This worker has the job already: the reply to its first request was lost.
if state == 'running' and holder_token == token then return {'started', tonumber(holder_attempt), now} end
local took_over = state == 'running'
if took_over then
  local alive_until = redis.call('ZSCORE', P .. 'workers', holder)
  if alive_until and tonumber(alive_until) > tonumber(now) then
    redis.call('HDEL', job_key(id), 'missed_at')
    redis.call('ZADD', P .. 'outbox', after(recheck_s), id)
    return {'busy'}
  end
  -- After an outage of Redis every lease has run out. A live worker has a second to send a heartbeat.
  local missed_at = redis.call('HGET', job_key(id), 'missed_at')
  if not missed_at or now - missed_at < 1 then
    redis.call('HSETNX', job_key(id), 'missed_at', now)
    redis.call('ZADD', P .. 'outbox', after(RECHECK_AFTER_S), id)
    return {'busy'}
  end
  redis.call('HDEL', job_key(id), 'missed_at')
  if redis.call('HINCRBY', job_key(id), 'takeovers', 1) > tonumber(max_takeovers) then
    local reason = max_takeovers + 1 .. ' workers stopped while they ran this job. It will not be tried again.'
    finish(id, 'lost', cjson.encode({kind = 'lost', reason = reason}), retention_s)
    return {'lost'}
  end
end
local attempt = redis.call('HINCRBY', job_key(id), 'attempt', 1)
redis.call('HSET', job_key(id), 'state', 'running', 'worker', worker, 'token', token)
redis.call('DEL', job_key(id) .. ':newest')
append(id, cjson.encode({kind = 'started', attempt = attempt, worker = worker, took_over = took_over}))
return {'started', attempt, now}
"""

# → 1 if the event was appended
APPEND = """
local id, attempt, event = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
append(id, event)
return 1
"""

# → 1 if the event replaced the last one of its kind
APPEND_TRANSIENT = """
local id, attempt, kind, event = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
redis.call('HSET', job_key(id) .. ':newest', kind, stamp(event))
redis.call('HINCRBY', job_key(id), 'seq', 1)
redis.call('ZADD', P .. 'changed', 'NX', now, id)
return 1
"""

# → 1 if the job has ended now
FINISH = """
local id, attempt, final_state, event, retention_s = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
finish(id, final_state, event, retention_s)
return 1
"""

# → 1 if the job is queued again. It stays the first in the line of its resource.
REQUEUE = """
local id, attempt, after_s, event = unpack(ARGV)
if not is_held(id, attempt) then return 0 end
append(id, event)
redis.call('HSET', job_key(id), 'state', 'queued')
redis.call('ZADD', P .. 'outbox', after(after_s), id)
return 1
"""

# → nil. The job will be delivered again.
DEFER = """
local id, for_s = unpack(ARGV)
redis.call('ZADD', P .. 'outbox', after(for_s), id)
"""

# → 1 if the queued job is delivered again later, or 0 if that has gone on for `longest_s`. The first time, `event` is
# appended.
LEAVE = """
local id, for_s, longest_s, event = unpack(ARGV)
if not is_job(id) or redis.call('HGET', job_key(id), 'state') ~= 'queued' then return 0 end
if redis.call('HSETNX', job_key(id), 'left_at', now) == 1 then append(id, event) end
if now - redis.call('HGET', job_key(id), 'left_at') > tonumber(longest_s) then return 0 end
redis.call('ZADD', P .. 'outbox', after(for_s), id)
return 1
"""

# → 'cancelled' | 'requested' | 'repeated' | 'closed'
CANCEL = """
local id, by, cancelled, requested, retention_s = unpack(ARGV)
local state, cancel_by = unpack(redis.call('HMGET', job_key(id), 'state', 'cancel_by'))
if state == 'running' then
  if cancel_by then return 'repeated' end
  redis.call('HSET', job_key(id), 'cancel_by', by)
  append(id, requested)
  return 'requested'
end
if state == 'queued' or state == 'waiting' or state == 'reserved' or state == 'awaiting_approval' then
  finish(id, 'cancelled', cancelled, retention_s)
  return 'cancelled'
end
return 'closed'
"""

# → 1 if the job has not changed since `rendered_seq`
MARK_RENDERED = """
local id, rendered_seq = unpack(ARGV)
local seq = is_job(id) and redis.call('HGET', job_key(id), 'seq')
if seq and seq ~= rendered_seq then return 0 end
redis.call('ZREM', P .. 'changed', id)
return 1
"""

# → the number of jobs that were due. Each is delivered, unless a delivery is still in the queue.
DELIVER_DUE = """
local due = redis.call('ZRANGEBYSCORE', P .. 'outbox', '-inf', now)
for _, id in ipairs(due) do
  redis.call('ZREM', P .. 'outbox', id)
  if is_job(id) then deliver(id) end
end
return #due
"""
