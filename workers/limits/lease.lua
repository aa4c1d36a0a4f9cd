-- One limit of calls that several workers share: hands out evenly spaced slots, and keeps back what workers that do not ask may use.
-- KEYS[1]: a hash, the state of the limit. Times are microseconds of this server, rates thousandths of a call a second.
-- AHEAD, SHARED: see lease.hpp, the caller puts them in front.
local SECOND, MEMORY, LONGEST, BIRTH = 1000000, 600000000, 330000000, 10000000
local key, me = KEYS[1], 'm:' .. ARGV[2]
if ARGV[1] == 'leave' then
  local claim = string.match(redis.call('HGET', key, me) or '', ':(%d+)$')
  redis.call('HDEL', key, me)
  if claim and claim ~= '0' then redis.call('HINCRBY', key, 'known', '-' .. claim) end
  return {}
end
local limit, target, slots, mode, share, least, known, freeze, late = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]),
  ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])

local LEASED, ALONE = '0', '1'
local alone = mode == ALONE
local function own_share(members)
  local part = math.floor(limit * 9 / (10 * members))
  return part >= 1000 and math.floor(part / 1000) * 1000 or part
end
local function whole(number) return string.format('%.0f', number + 0) end  -- no -0

local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
local state, members = {}, {}
local flat = redis.call('HGETALL', key)
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 2) == 'm:' then members[flat[i]] = flat[i + 1] else state[flat[i]] = tonumber(flat[i + 1]) end
end

-- Nobody knows what was granted before an empty store: wait a full window.
if not state.tat then state = {tat = clock + SECOND, last = clock, born = clock, shift = 0, known = 0, frozen = 0} end
-- Time that never goes back, and goes on when the clock of the machine did.
local now = clock + state.shift
if now < state.last then
  state.shift = state.shift + state.last - now
  now = state.last
end
-- Members speak more often: nobody is left, or the clock jumped over slots that are still to come. Again a full window.
if now - state.last > SECOND then state.tat = math.max(state.tat, now + SECOND) end
if freeze > 0 then state.frozen = math.max(state.frozen, now + math.min(freeze, LONGEST)) end
if state.frozen > now + LONGEST then state.frozen = now end
if state.tat > now + LONGEST then state.tat = now + SECOND end
state.tat = math.max(state.tat, state.frozen)
if late > 0 then state.tat = math.max(state.tat, now) + math.min(late, SECOND) end

-- Who else is there, what they may use without asking (their claims), and what is kept back for that.
local others, sharing, claims, kept = 0, 0, 0, 0
local mine = known > 0 and share or 0
for name, text in pairs(members) do
  local seen, how, claim = string.match(text, '^(%d+):(%d):(%d+)$')
  seen, claim = tonumber(seen), tonumber(claim)
  if name == me then
    mine = claim
  elseif now - seen > MEMORY then
    redis.call('HDEL', key, name)
    state.known = state.known - claim
  else
    others = others + 1
    claims = claims + claim
    if how == ALONE or how == LEASED and now - seen > SHARED then
      kept = kept + claim
    elseif how == LEASED then
      sharing = sharing + 1
    end
  end
end
-- Members that have not spoken yet: of those configured, and of those that an earlier life of this store knew.
if not members[me] and now - state.born < BIRTH then state.known = math.max(state.known, known) end
local hearsay = now - state.born < MEMORY and math.max(0, state.known - claims - mine) or 0
local count = math.max(others + 1, least)
local missing = math.max((count - others - 1) * own_share(count), hearsay)
kept = kept + missing

-- What this worker may use when it loses the store. Its claim is the most it can believe: an answer may get lost.
local offer = math.max(0, math.min(own_share(count), limit - claims - missing))
if offer >= 1000 then offer = math.floor(offer / 1000) * 1000 end
if alone then offer = math.min(offer, share) end
local claim = math.max(offer, share)
state.known = state.known + claim - mine
if mode == LEASED then sharing = sharing + 1 end
local pool = limit - kept
if kept > 0 and pool >= 1000 then pool = math.floor(pool / 1000) * 1000 end

local given, wait, interval, again = 0, 0, 0, AHEAD
if slots > 0 and mode == LEASED and pool > 0 then
  interval = math.floor((limit * 1000000000 + pool * target - 1) / (pool * target))
  local first = math.max(state.tat, now)
  local room = math.floor((now + AHEAD - first) / interval) + 1
  given = math.max(0, math.min(slots, room))
  wait = first - now
  again = math.max(0, wait - AHEAD)
  if given > 0 then state.tat = first + given * interval end
end

redis.call('HSET', key, 'tat', whole(state.tat), 'last', whole(now), 'born', whole(state.born), 'shift', whole(state.shift),
  'known', whole(state.known), 'frozen', whole(state.frozen), me, whole(now) .. ':' .. mode .. ':' .. whole(claim))
redis.call('PEXPIRE', key, 2 * MEMORY / 1000)
return {given, wait, interval, again, math.max(0, state.frozen - now), offer, claims + claim + hearsay, count, sharing}
