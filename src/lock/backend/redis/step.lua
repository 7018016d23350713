#!lua flags=allow-oom
-- One step on one lock, as the law of LockBackend has it. It is taken though memory is full, for a
-- renewal needs none; and by no replica.
--
-- KEYS[1]  a hash: holder id -> packed entry, and 't' -> the last fencing token. It expires a whole
--          day after the day of that token, and not before its last entry.
-- ARGV     the verb, the holder id, and what the verb needs
--
-- An entry is packed as kind|mode|n|of|priority|arrival|expires|ttl|token|floor|channel|metadata:
-- kind is h (holder) or w (waiter), mode x (exclusive), s (shared) or p (permits); times are in
-- microseconds. Tokens and TTLs are kept as text. A time is printed with %.0f, for Lua prints
-- 1.79e+15 otherwise.
--
-- What needs nobody else comes first, and without functions: to make them takes longer than that.

local DAY = 86400000000

local verb, id = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- ARGV: renew id
if verb == 'renew' then
  local packed = redis.call('HGET', KEYS[1], id)
  if not packed then
    return { 'gone' }
  end
  local before, expires, ttl, after, token =
    string.match(packed, '^([hw]|[xsp]|%d+|%d+|%d+|%d+|)(%d+)|(%d+)|((%d+)|.*)$')
  if not before then
    return { 'corrupt' }
  elseif tonumber(expires) > now then
    expires = string.format('%.0f', now + ttl)
    redis.call('HSET', KEYS[1], id, before .. expires .. '|' .. ttl .. '|' .. after)
    -- The hash lives for a day from the token anyway.
    if now + ttl > token + DAY then
      redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', (now + ttl) / 1000 + 1), 'GT')
    end
    return { 'alive', ttl }
  end
end

local stored = redis.call('HGETALL', KEYS[1])
local mine, other, other_id
local others = 0
local last_token = 0
for i = 1, #stored, 2 do
  local field = stored[i]
  if field == 't' then
    last_token = tonumber(stored[i + 1])
  elseif field == id then
    mine = stored[i + 1]
  else
    others = others + 1
    other_id, other = field, stored[i + 1]
  end
end

if not last_token then
  return { 'corrupt' }
elseif others == 0 then
  -- Whoever is alone may hold.
  local wish, ttl, metadata
  if not mine and verb == 'enqueue' then
    wish, ttl, metadata = ARGV[3] .. '|0|', ARGV[4], ARGV[6]
  elseif mine and verb == 'claim' then
    local expires
    wish, expires, ttl, metadata =
      string.match(mine, '^w|([xsp]|%d+|%d+|%d+|%d+|)(%d+)|(%d+)|%d+|%d+|%x*|(.*)$')
    wish = wish and tonumber(expires) > now and wish
  end
  if wish then
    local time = last_token < now and now or last_token + 1
    local token = string.format('%.0f', time)
    local expires = string.format('%.0f', now + ttl)
    redis.call('HSET', KEYS[1], 't', token, id, 'h|' .. wish .. expires .. '|' .. ttl .. '|' ..
      token .. '|' .. token .. '||' .. metadata)
    if last_token < time - time % DAY then
      redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', (time - time % DAY + 2 * DAY) / 1000))
    end
    return { 'granted', token, token, ttl }
  end
end

if mine and verb == 'release' and others < 2 then
  local expires = string.match(mine, '^h|[xsp]|%d+|%d+|%d+|%d+|(%d+)|')
  local waits, channel = '', ''
  if other then
    -- Once it is alone it may hold.
    waits, channel = string.match(other, '^w|[xsp]|%d+|%d+|%d+|%d+|(%d+)|%d+|%d+|%d+|(%x*)|')
  end
  if expires and tonumber(expires) > now and waits and (not other or tonumber(waits) > now) then
    redis.call('HDEL', KEYS[1], id)
    if channel ~= '' then
      redis.pcall('PUBLISH', 'tripod:' .. channel, other_id)
    end
    return { 'true' }
  end
end

-- Somebody else holds or waits, or did.

local holders, waiters = {}, {}
local freed = false
local last_expires = 0
mine = nil

local function number(n)
  return string.format('%.0f', n)
end

local function expire_at(time, ...)
  redis.call('PEXPIREAT', KEYS[1], number(math.ceil(time / 1000) + 1), ...)
end

local function pack(e)
  return e.kind .. '|' .. e.mode .. '|' .. e.n .. '|' .. e.of .. '|' .. e.priority .. '|' ..
    e.arrival .. '|' .. number(e.expires) .. '|' .. e.ttl .. '|' .. e.token .. '|' .. e.floor ..
    '|' .. e.channel .. '|' .. e.metadata
end

local function unpack_entry(holder, packed)
  local kind, mode, n, of, priority, arrival, expires, ttl, token, floor, channel, metadata =
    string.match(packed, '^([hw])|([xsp])|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%x*)|(.*)$')
  if not kind then
    return nil
  end
  return {
    id = holder, kind = kind, mode = mode, n = tonumber(n), of = tonumber(of),
    priority = tonumber(priority), arrival = tonumber(arrival), expires = tonumber(expires),
    ttl = ttl, token = token, floor = floor, channel = channel, metadata = metadata,
  }
end

local function ahead(one, other)
  if one.priority ~= other.priority then
    return one.priority > other.priority
  end
  if one.arrival ~= other.arrival then
    return one.arrival < other.arrival
  end
  return one.id < other.id
end

local function by_token(one, other)
  return tonumber(one.token) < tonumber(other.token)
end

local function take_in(e)
  if e.expires <= now then
    redis.call('HDEL', KEYS[1], e.id)
    freed = true
    return
  end
  if e.id == id then
    mine = e
  end
  last_expires = math.max(last_expires, e.expires)
  table.insert(e.kind == 'h' and holders or waiters, e)
end

-- Entries whose lease is over are removed.
local function take_in_all()
  for i = 1, #stored, 2 do
    if stored[i] ~= 't' then
      local e = unpack_entry(stored[i], stored[i + 1])
      if not e then
        return false
      end
      take_in(e)
    end
  end
  table.sort(holders, by_token)
  table.sort(waiters, ahead)
  return true
end

local function save(e)
  redis.call('HSET', KEYS[1], e.id, pack(e))
  if e.expires > e.token + DAY then
    expire_at(e.expires, 'GT')
  end
end

local function remove(list, e)
  for at, other in ipairs(list) do
    if other.id == e.id then
      table.remove(list, at)
      break
    end
  end
  redis.call('HDEL', KEYS[1], e.id)
  freed = true
end

local function family(e)
  if e.mode == 'p' then
    return e.of
  end
  return 0
end

local function together(one, other)
  return (one.mode == 's' and other.mode == 's') or (one.mode == 'p' and other.mode == 'p')
end

-- Whether a candidate may hold: 'admit', 'wait', or what the name is used as instead.
local function judge(candidate, waits, queue)
  local verdict = 'admit'
  local taken = candidate.n
  for _, h in ipairs(holders) do
    if family(h) ~= family(candidate) then
      return family(h)
    end
    taken = taken + h.n
    if not together(h, candidate) then
      verdict = 'wait'
    end
  end
  for _, w in ipairs(queue) do
    if w.id ~= candidate.id then
      if family(w) ~= family(candidate) then
        return family(w)
      end
      local in_line = candidate.mode == 'p' or not together(w, candidate)
      if not waits or (ahead(w, candidate) and in_line) then
        verdict = 'wait'
      end
    end
  end
  if candidate.mode == 'p' and taken > candidate.of then
    verdict = 'wait'
  end
  return verdict
end

local function granted(e)
  return { 'granted', e.token, e.floor, e.ttl }
end

-- A holder need not be told of anything, so it has no channel.
local function hold(e)
  local time = math.max(last_token + 1, now)
  e.token = number(time)
  e.floor = holders[1] and holders[1].token or e.token
  e.kind, e.channel = 'h', ''
  redis.call('HSET', KEYS[1], 't', e.token, e.id, pack(e))
  if last_token < time - time % DAY then
    expire_at(math.max(time - time % DAY + 2 * DAY, last_expires))
  end
  table.insert(holders, e)
  return granted(e)
end

-- The first of the leases that stand in the way may be over then.
local function waiting(e)
  local first = e.expires
  for _, h in ipairs(holders) do
    first = math.min(first, h.expires)
  end
  for _, w in ipairs(waiters) do
    if ahead(w, e) then
      first = math.min(first, w.expires)
    end
  end
  return { 'waiting', e.ttl, number(first - now) }
end

local function claim()
  if not mine then
    return { 'gone' }
  end
  mine.expires = now + mine.ttl
  if mine.kind == 'w' and judge(mine, true, waiters) == 'admit' then
    for at, w in ipairs(waiters) do
      if w.id == id then
        table.remove(waiters, at)
        break
      end
    end
    -- The next in line for permits may fit too.
    freed = freed or mine.mode == 'p'
    return hold(mine)
  end
  save(mine)
  return mine.kind == 'h' and granted(mine) or waiting(mine)
end

-- ARGV: enqueue id mode|n|of|priority ttl channel metadata; who does not wait has no channel
local function enqueue()
  local mode, n, of, priority = string.match(ARGV[3], '^(.)|(%d+)|(%d+)|(%d+)$')
  if mine then
    if mine.mode ~= mode or mine.n ~= tonumber(n) or mine.of ~= tonumber(of) then
      return { 'rejected' }
    end
    return claim()
  end
  local waits = ARGV[5] ~= ''
  local e = {
    id = id, kind = 'w', mode = mode, n = tonumber(n), of = tonumber(of),
    priority = tonumber(priority), arrival = 0, expires = now + ARGV[4], ttl = ARGV[4],
    token = '0', floor = '0', channel = ARGV[5], metadata = ARGV[6],
  }
  for _, w in ipairs(waiters) do
    e.arrival = math.max(e.arrival, w.arrival + 1)
  end
  local verdict = judge(e, waits, waiters)
  if verdict == 'admit' then
    return hold(e)
  elseif verdict ~= 'wait' then
    return { 'foreign', number(verdict) }
  elseif not waits then
    return { 'held' }
  end
  table.insert(waiters, e)
  table.sort(waiters, ahead)
  save(e)
  return waiting(e)
end

-- The lease was found to be over.
local function gone()
  return { 'gone' }
end

local function release()
  if mine and mine.kind == 'h' then
    remove(holders, mine)
    return { 'true' }
  end
  return { 'false' }
end

local function leave()
  if mine then
    remove(mine.kind == 'h' and holders or waiters, mine)
    if mine.kind == 'w' and mine.channel ~= '' then
      redis.pcall('PUBLISH', 'tripod:' .. mine.channel, id)
    end
  end
  return { 'true' }
end

local function force_release()
  for _, h in ipairs(holders) do
    if h.token == id then
      remove(holders, h)
      return { 'true' }
    end
  end
  return { 'false' }
end

-- Whether a claim would answer something else than waiting.
local function peek()
  if mine and mine.kind == 'w' and judge(mine, true, waiters) == 'wait' then
    return { 'false' }
  end
  return { 'true' }
end

local function inspect()
  local all = { 'entries', number(now) }
  for _, list in ipairs({ holders, waiters }) do
    for _, e in ipairs(list) do
      table.insert(all, e.id)
      table.insert(all, pack(e))
    end
  end
  return all
end

-- Tells those who may hold after this step: the first ones, up to the first who may not. A message
-- that is refused does not undo the step.
local function tell()
  local before = {}
  for _, w in ipairs(waiters) do
    if judge(w, true, before) ~= 'admit' then
      return
    end
    if w.channel ~= '' then
      redis.pcall('PUBLISH', 'tripod:' .. w.channel, w.id)
    end
    before = { w }
  end
end

if not take_in_all() then
  return { 'corrupt' }
end
local verbs = {
  enqueue = enqueue, claim = claim, renew = gone, release = release, leave = leave,
  force_release = force_release, peek = peek, inspect = inspect,
}
local answer = verbs[verb]()
if freed then
  tell()
end
return answer
