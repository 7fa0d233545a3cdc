"""What must happen in one step in Redis, as Lua. The only module, beside `keys`, that knows how a job lies there.

    job:{id}          hash    job, asked (JSON) · state · seq · attempt · worker · takeovers · cancel_by · target ·
                              token (of the claim that was granted) · delivery (the newest)
    job:{id}:events   list    its events (JSON), oldest first
    job:{id}:newest   hash    its transient events (JSON) by kind
    job:{id}:approvers set    who approved
    request:{key}     string  the job that this request was given: a request asked twice is one job
    jobs              zset    every job, by the time it was asked
    open              set     the jobs that have not ended
    changed           zset    the jobs whose change nobody has shown yet, by the time of the first such change
    outbox            zset    the jobs that are to be delivered to a worker later, by the time they are due; one that
                              was delivered is due again should nobody claim it
    dramatiq:jobs     list    the deliveries that workers take, Dramatiq's; beside it, in jobs.msgs, what each is
    expiring          zset    the requests for approval, by the time they expire
    target:{target}   list    the jobs of a target in their order: the first may run, the others wait
    workers           zset    the workers, by the time until which they count as alive

Every script takes the key prefix as KEYS[1]: one Redis, not a cluster of shards, keeps a Seatrial's jobs.
"""

PRELUDE = """
local P = KEYS[1]
local function job(id) return P .. 'job:' .. id end

local function tell(id, now, event)
  redis.call('RPUSH', job(id) .. ':events', event)
  redis.call('HINCRBY', job(id), 'seq', 1)
  redis.call('ZADD', P .. 'changed', 'NX', now, id)
end

-- Has the job delivered to a worker, in the same step in which it became due: nothing can come between the two. This
-- is what Dramatiq's own enqueue does (its dispatch.lua), with the message as its JSONEncoder writes it. Dramatiq loses
-- a message whose way to a worker was cut: a job that nobody has claimed after 30 s is delivered again, unless its
-- delivery still lies there, as all workers are busy.
local function deliver(id, now)
  redis.call('ZADD', P .. 'outbox', now + 30, id)
  local delivery = redis.call('HGET', job(id), 'delivery')
  if delivery and redis.call('LPOS', P .. 'dramatiq:jobs', delivery) then return end
  delivery = id .. '.' .. redis.call('INCR', P .. 'last_delivery')
  redis.call('HSET', job(id), 'delivery', delivery)
  redis.call('HSET', P .. 'dramatiq:jobs.msgs', delivery, '{"queue_name":"jobs","actor_name":"run","args":["' .. id ..
    '"],"kwargs":{},"options":{"redis_message_id":"' .. delivery .. '"},"message_id":"' .. delivery ..
    '","message_timestamp":' .. string.format('%d', now * 1000) .. '}')
  redis.call('RPUSH', P .. 'dramatiq:jobs', delivery)
end

local function queue(id, now)
  redis.call('HSET', job(id), 'state', 'queued')
  deliver(id, now)
end

-- Takes a job out of its target's line; whoever is first then may run, whoever stood behind it learns the new order.
local function release(id, now)
  local line = P .. 'target:' .. redis.call('HGET', job(id), 'target')
  local before = redis.call('LRANGE', line, 0, -1)
  redis.call('LREM', line, 0, id)
  for place, member in ipairs(before) do
    if member == id and before[place + 1] then
      local behind = before[place + 1]
      if place == 1 then
        tell(behind, now, '{"kind":"queued","at_s":' .. now .. '}')
        queue(behind, now)
      else
        tell(behind, now, '{"kind":"waiting","at_s":' .. now .. ',"behind":"' .. before[place - 1] .. '"}')
      end
    end
  end
end

local function finish(id, now, state, event, retention)
  tell(id, now, event)
  redis.call('HSET', job(id), 'state', state)
  redis.call('SREM', P .. 'open', id)
  redis.call('ZREM', P .. 'expiring', id)
  redis.call('ZREM', P .. 'outbox', id)
  release(id, now)
  for _, key in ipairs({job(id), job(id) .. ':events', job(id) .. ':newest', job(id) .. ':approvers'}) do
    redis.call('EXPIRE', key, retention)
  end
end

-- Puts a job in its target's line, and has it delivered if it is first there.
local function enter(id, now)
  local line = P .. 'target:' .. redis.call('HGET', job(id), 'target')
  local ahead = redis.call('LINDEX', line, -1)
  redis.call('RPUSH', line, id)
  if ahead then
    redis.call('HSET', job(id), 'state', 'waiting')
    tell(id, now, '{"kind":"waiting","at_s":' .. now .. ',"behind":"' .. ahead .. '"}')
  else
    tell(id, now, '{"kind":"queued","at_s":' .. now .. '}')
    queue(id, now)
  end
end

local function holds(id, attempt)
  local held = redis.call('HMGET', job(id), 'state', 'attempt')
  return held[1] == 'running' and held[2] == attempt
end
"""

# key, job, asked, target, now, retention → {id, 1 if new}
RESERVE = (
    PRELUDE
    + """
local known = redis.call('GET', P .. 'request:' .. ARGV[1])
if known then return {known, 0} end
local id = tostring(redis.call('INCR', P .. 'last_job'))
redis.call('SET', P .. 'request:' .. ARGV[1], id, 'EX', ARGV[6])
redis.call('HSET', job(id), 'job', ARGV[2], 'asked', ARGV[3], 'target', ARGV[4], 'state', 'reserved',
  'seq', 0, 'attempt', 0, 'takeovers', 0, 'worker', '', 'request', ARGV[1])
redis.call('ZADD', P .. 'jobs', ARGV[5], id)
redis.call('ZREMRANGEBYSCORE', P .. 'jobs', '-inf', ARGV[5] - ARGV[6])
redis.call('SADD', P .. 'open', id)
return {id, 1}
"""
)

# id → 1 if it was reserved and is forgotten now
DISCARD = (
    PRELUDE
    + """
if redis.call('HGET', job(ARGV[1]), 'state') ~= 'reserved' then return 0 end
redis.call('DEL', P .. 'request:' .. redis.call('HGET', job(ARGV[1]), 'request'), job(ARGV[1]))
for _, set in ipairs({'jobs', 'changed'}) do redis.call('ZREM', P .. set, ARGV[1]) end
redis.call('SREM', P .. 'open', ARGV[1])
return 1
"""
)

# id, now → 1 if it was reserved and is in line now; it was shown as queued before, so that only waiting is news
SUBMIT = (
    PRELUDE
    + """
if redis.call('HGET', job(ARGV[1]), 'state') ~= 'reserved' then return 0 end
enter(ARGV[1], ARGV[2])
if redis.call('HGET', job(ARGV[1]), 'state') == 'queued' then redis.call('ZREM', P .. 'changed', ARGV[1]) end
return 1
"""
)

# id, now, expires_at, event → 1 if it was reserved and waits for approval now
AWAIT_APPROVAL = (
    PRELUDE
    + """
if redis.call('HGET', job(ARGV[1]), 'state') ~= 'reserved' then return 0 end
redis.call('HSET', job(ARGV[1]), 'state', 'awaiting_approval')
redis.call('ZADD', P .. 'expiring', ARGV[3], ARGV[1])
tell(ARGV[1], ARGV[2], ARGV[4])
return 1
"""
)

# id, now, by, count, event → 'approved' | 'counted' | 'repeated' | 'closed'
APPROVE = (
    PRELUDE
    + """
if redis.call('HGET', job(ARGV[1]), 'state') ~= 'awaiting_approval' then return 'closed' end
local until_s = redis.call('ZSCORE', P .. 'expiring', ARGV[1])
if until_s and tonumber(until_s) <= tonumber(ARGV[2]) then return 'closed' end
if redis.call('SADD', job(ARGV[1]) .. ':approvers', ARGV[3]) == 0 then return 'repeated' end
tell(ARGV[1], ARGV[2], ARGV[5])
if redis.call('SCARD', job(ARGV[1]) .. ':approvers') < tonumber(ARGV[4]) then return 'counted' end
redis.call('ZREM', P .. 'expiring', ARGV[1])
enter(ARGV[1], ARGV[2])
return 'approved'
"""
)

# id, now, state it must be in, final state, event, retention → 1 if it has ended now
CLOSE = (
    PRELUDE
    + """
if redis.call('HGET', job(ARGV[1]), 'state') ~= ARGV[3] then return 0 end
finish(ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6])
return 1
"""
)

# id, now, worker, most takeovers, recheck_s, retention, token
#   → {'started', attempt} | {'busy'} | {'refused'} | {'lost'}
CLAIM = (
    PRELUDE
    + """
local id, now = ARGV[1], ARGV[2]
local held = redis.call('HMGET', job(id), 'state', 'worker', 'target', 'token', 'attempt')
local state, worker = held[1], held[2]
redis.call('ZREM', P .. 'outbox', id)
if state ~= 'queued' and state ~= 'running' then return {'refused'} end
if redis.call('LINDEX', P .. 'target:' .. held[3], 0) ~= id then return {'refused'} end
-- Asked again by whom the answer did not reach: it has the job already.
if state == 'running' and held[4] == ARGV[7] then return {'started', tonumber(held[5])} end
local took_over = 'false'
if state == 'running' then
  local alive_until = redis.call('ZSCORE', P .. 'workers', worker)
  if alive_until and tonumber(alive_until) > tonumber(now) then
    redis.call('HDEL', job(id), 'missed_at')
    redis.call('ZADD', P .. 'outbox', now + ARGV[5], id)
    return {'busy'}
  end
  -- After Redis was away every worker looks dead: one that is not has a second to give a sign of life.
  local missed_at = redis.call('HGET', job(id), 'missed_at')
  if not missed_at or now - missed_at < 1 then
    redis.call('HSETNX', job(id), 'missed_at', now)
    redis.call('ZADD', P .. 'outbox', now + 1.1, id)
    return {'busy'}
  end
  redis.call('HDEL', job(id), 'missed_at')
  took_over = 'true'
  if redis.call('HINCRBY', job(id), 'takeovers', 1) > tonumber(ARGV[4]) then
    finish(id, now, 'lost', '{"kind":"lost","at_s":' .. now .. ',"reason":"' .. ARGV[4] + 1 ..
      ' workers stopped in the middle of this job, so it was given up."}', ARGV[6])
    return {'lost'}
  end
end
local attempt = redis.call('HINCRBY', job(id), 'attempt', 1)
redis.call('HSET', job(id), 'state', 'running', 'worker', ARGV[3], 'token', ARGV[7])
redis.call('DEL', job(id) .. ':newest')
tell(id, now, '{"kind":"started","at_s":' .. now .. ',"attempt":' .. attempt .. ',"worker":"' .. ARGV[3] ..
  '","took_over":' .. took_over .. '}')
return {'started', attempt}
"""
)

# id, now, attempt, event → 1 if written
APPEND = (
    PRELUDE
    + """
if not holds(ARGV[1], ARGV[3]) then return 0 end
tell(ARGV[1], ARGV[2], ARGV[4])
return 1
"""
)

# id, now, attempt, kind, event → 1 if written
APPEND_TRANSIENT = (
    PRELUDE
    + """
if not holds(ARGV[1], ARGV[3]) then return 0 end
redis.call('HSET', job(ARGV[1]) .. ':newest', ARGV[4], ARGV[5])
redis.call('HINCRBY', job(ARGV[1]), 'seq', 1)
redis.call('ZADD', P .. 'changed', 'NX', ARGV[2], ARGV[1])
return 1
"""
)

# id, now, attempt, final state, event, retention → 1 if it has ended now
FINISH = (
    PRELUDE
    + """
if not holds(ARGV[1], ARGV[3]) then return 0 end
finish(ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6])
return 1
"""
)

# id, now, attempt, due, event → 1 if it is queued again; it keeps its place at the head of its target's line
REQUEUE = (
    PRELUDE
    + """
if not holds(ARGV[1], ARGV[3]) then return 0 end
tell(ARGV[1], ARGV[2], ARGV[5])
redis.call('HSET', job(ARGV[1]), 'state', 'queued')
redis.call('ZADD', P .. 'outbox', ARGV[4], ARGV[1])
return 1
"""
)

# id, now, by, event that ends it, event that wishes it, retention → 'cancelled' | 'wished' | 'repeated' | 'closed'
CANCEL = (
    PRELUDE
    + """
local held = redis.call('HMGET', job(ARGV[1]), 'state', 'cancel_by')
local state = held[1]
if state == 'running' then
  if held[2] then return 'repeated' end
  redis.call('HSET', job(ARGV[1]), 'cancel_by', ARGV[3])
  tell(ARGV[1], ARGV[2], ARGV[5])
  return 'wished'
end
if state == 'queued' or state == 'waiting' or state == 'reserved'
  or state == 'awaiting_approval' then
  finish(ARGV[1], ARGV[2], 'cancelled', ARGV[4], ARGV[6])
  return 'cancelled'
end
return 'closed'
"""
)

# id, seq that was shown → 1 if nothing has changed since
MARK_RENDERED = (
    PRELUDE
    + """
local seq = redis.call('HGET', job(ARGV[1]), 'seq')
if seq and seq ~= ARGV[2] then return 0 end
redis.call('ZREM', P .. 'changed', ARGV[1])
return 1
"""
)

# now → how many jobs of the outbox were due and are delivered, or found to be
DELIVER_DUE = (
    PRELUDE
    + """
local due = redis.call('ZRANGEBYSCORE', P .. 'outbox', '-inf', ARGV[1])
for _, id in ipairs(due) do
  redis.call('ZREM', P .. 'outbox', id)
  deliver(id, ARGV[1])
end
return #due
"""
)
