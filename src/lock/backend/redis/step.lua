#!lua flags=allow-oom
-- One step on one lock, as the law of LockBackend has it. It is taken though memory is full, for a
-- renewal needs none; and by no replica.
--
-- KEYS[1]  the entries: a hash, holder id -> packed entry; it expires with the last of them
-- KEYS[2]  the last fencing token; it expires a day after the time that it names
-- ARGV     the verb, the holder id, and what the verb needs
--
-- An entry is packed as kind|mode|n|of|priority|arrival|expires|ttl|token|floor|channel|metadata:
-- kind is h (holder) or w (waiter), mode x (exclusive), s (shared) or p (permits); times are in
-- microseconds. Numbers are printed with %.0f, for Lua prints 1.79e+15 otherwise.

local verb, id = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local holders, waiters = {}, {}
local mine
local freed = false
local last = 0

local function number(n)
  return string.format('%.0f', n)
end

local function pack(e)
  return table.concat({
    e.kind, e.mode, number(e.n), number(e.of), number(e.priority), number(e.arrival),
    number(e.expires), number(e.ttl), number(e.token), number(e.floor), e.channel, e.metadata,
  }, '|')
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
    ttl = tonumber(ttl), token = tonumber(token), floor = tonumber(floor), channel = channel,
    metadata = metadata,
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
  return one.token < other.token
end

-- Entries whose lease is over are removed.
local function load_entries()
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local e = unpack_entry(all[i], all[i + 1])
    if not e then
      return false
    end
    if e.expires <= now then
      redis.call('HDEL', KEYS[1], e.id)
      freed = true
    else
      if e.id == id then
        mine = e
      end
      if e.expires > last then
        last = e.expires
      end
      table.insert(e.kind == 'h' and holders or waiters, e)
    end
  end
  table.sort(holders, by_token)
  table.sort(waiters, ahead)
  return true
end

local function save(e)
  redis.call('HSET', KEYS[1], e.id, pack(e))
  if e.expires > last then
    last = e.expires
  end
  redis.call('PEXPIREAT', KEYS[1], number(math.ceil(last / 1000) + 1))
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

local function hold(e)
  local before = tonumber(redis.call('GET', KEYS[2]) or '0')
  e.token = math.max(before + 1, now)
  e.floor = holders[1] and holders[1].token or e.token
  e.kind = 'h'
  redis.call('SET', KEYS[2], number(e.token), 'PXAT', number(math.ceil(e.token / 1000) + 86400000))
  table.insert(holders, e)
  save(e)
end

local function granted(e)
  return { 'granted', number(e.token), number(e.floor), number(e.ttl) }
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
  return { 'waiting', number(e.ttl), number(first - now) }
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
    hold(mine)
    -- The next in line for permits may fit too.
    freed = freed or mine.mode == 'p'
    return granted(mine)
  end
  save(mine)
  return mine.kind == 'h' and granted(mine) or waiting(mine)
end

-- ARGV: enqueue id mode n of priority ttl waits channel metadata
local function enqueue()
  if mine then
    if mine.mode ~= ARGV[3] or mine.n ~= tonumber(ARGV[4]) or mine.of ~= tonumber(ARGV[5]) then
      return { 'rejected' }
    end
    return claim()
  end
  local ttl = tonumber(ARGV[7])
  local waits = ARGV[8] == '1'
  local e = {
    id = id, kind = 'w', mode = ARGV[3], n = tonumber(ARGV[4]), of = tonumber(ARGV[5]),
    priority = tonumber(ARGV[6]), arrival = 0, expires = now + ttl, ttl = ttl, token = 0,
    floor = 0, channel = ARGV[9], metadata = ARGV[10],
  }
  for _, w in ipairs(waiters) do
    e.arrival = math.max(e.arrival, w.arrival + 1)
  end
  local verdict = judge(e, waits, waiters)
  if verdict == 'admit' then
    hold(e)
    return granted(e)
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

local function renew()
  if not mine then
    return { 'gone' }
  end
  mine.expires = now + mine.ttl
  save(mine)
  return { 'alive', number(mine.ttl) }
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
    if number(h.token) == id then
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

if not load_entries() then
  return { 'corrupt' }
end
local verbs = {
  enqueue = enqueue, claim = claim, renew = renew, release = release, leave = leave,
  force_release = force_release, peek = peek, inspect = inspect,
}
local answer = verbs[verb]()
if freed then
  tell()
end
return answer
