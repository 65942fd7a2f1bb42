#!lua name=caudal_fs
-- The only writer of feature states. Layout: serving/features/state.py, whose `rebuild` is the reference for every byte.
-- Numbers are compared, never strings: Lua's string order follows the locale.
local HEAD, REC = 32, 24
local EMPTY = '\0\1' .. ('\0'):rep(HEAD - 2)

-- Time and id of the record at index i, from 0.
local function key_at(s, i)
  local ts, id = struct.unpack('>I6I6', s, HEAD + REC * i + 1)
  return ts, id
end

local function before(ts, id, other_ts, other_id)
  return ts < other_ts or (ts == other_ts and id < other_id)
end

-- Index of the first record that is not before (ts, id); n when all are.
local function place(s, n, ts, id)
  local lo, hi = 0, n
  while lo < hi do
    local mid = math.floor((lo + hi) / 2)
    local t, e = key_at(s, mid)
    if before(t, e, ts, id) then lo = mid + 1 else hi = mid end
  end
  return lo
end

-- Whether the 12 bytes of content at position p of a are larger than those at q of b, as three unsigned numbers.
local function larger(a, p, b, q)
  local a1, a2, a3 = struct.unpack('>I4I4I4', a, p)
  local b1, b2, b3 = struct.unpack('>I4I4I4', b, q)
  if a1 ~= b1 then return a1 > b1 end
  if a2 ~= b2 then return a2 > b2 end
  return a3 > b3
end

local function head(n, horizon, born, s)
  return struct.pack('>I2I2I6I6', 1, n, horizon, born) .. s:sub(17, HEAD)
end

-- The state with one more record: the same bytes whatever the order, and unchanged by a record it already has.
local function insert(s, rec, keep, cap)
  local _, n, horizon, born = struct.unpack('>I2I2I6I6', s)
  local ts, id = struct.unpack('>I6I6', rec)
  local newest = -1
  if n > 0 then newest = key_at(s, n - 1) end
  if n > 0 and ts < newest - keep then
    if ts <= horizon then return s end
    return head(n, ts, born, s) .. s:sub(HEAD + 1)
  end
  local p
  if n == 0 then
    p = 0
  else
    local t, e = key_at(s, n - 1)
    if before(t, e, ts, id) then p = n else p = place(s, n, ts, id) end
  end
  local o = HEAD + REC * p
  if p < n then
    local t, e = key_at(s, p)
    if t == ts and e == id then
      if not larger(rec, 13, s, o + 13) then return s end
      return s:sub(1, o) .. rec .. s:sub(o + REC + 1)
    end
  end
  s = s:sub(1, o) .. rec .. s:sub(o + 1)
  n = n + 1
  newest = key_at(s, n - 1)
  local cut = 0
  while true do
    local t = key_at(s, cut)
    if t >= newest - keep and n - cut <= cap then break end
    if t > horizon then horizon = t end
    cut = cut + 1
  end
  return head(n - cut, horizon, born, s) .. s:sub(HEAD + REC * cut + 1)
end

local function save(key, s, old, ttl)
  if s == old then return end
  local _, _, _, born = struct.unpack('>I2I2I6I6', s)
  -- An account's creation is told once, so a state that knows it outlives its records.
  if born > 0 then redis.call('SET', key, s) else redis.call('SET', key, s, 'PX', ttl) end
end

-- keys: state, tombstone. args: keep_ms, cap, ttl_ms, then records of 24 bytes. Returns the state; nil for an erased ref.
local function add(keys, args)
  if redis.call('EXISTS', keys[2]) == 1 then return false end
  local old = redis.call('GET', keys[1]) or EMPTY
  local s, keep, cap = old, tonumber(args[1]), tonumber(args[2])
  for i = 4, #args do
    if #args[i] ~= REC then return redis.error_reply('ERR a record has 24 bytes') end
    s = insert(s, args[i], keep, cap)
  end
  save(keys[1], s, old, args[3])
  return s
end

-- keys: state, tombstone. args: account creation in ms. The smallest one that is not 0 stays.
local function born(keys, args)
  if redis.call('EXISTS', keys[2]) == 1 then return false end
  local old = redis.call('GET', keys[1]) or EMPTY
  local _, n, horizon, known = struct.unpack('>I2I2I6I6', old)
  local ms = tonumber(args[1])
  if ms <= 0 or (known > 0 and known <= ms) then return old end
  local s = head(n, horizon, ms, old) .. old:sub(HEAD + 1)
  save(keys[1], s, old, 0)
  return s
end

redis.register_function('caudal_fs_add', add)
redis.register_function('caudal_fs_born', born)
