-- What a policy may do in its Lua: the limits, and the libraries without what reaches out of the state.
--
-- Called once for each state with the functions in Python (H) and the number of instructions between two looks
-- at the limits. Returns the functions that the other files of this folder use. Nothing here reads a global
-- after it was loaded: a policy may overwrite all of them.
local H, STEP = ...

local error, type, tostring, tonumber, select, setmetatable = error, type, tostring, tonumber, select, setmetatable
local rawget, next, unpack, ipairs, pairs = rawget, next, unpack, ipairs, pairs
local native_pcall, native_xpcall, collectgarbage, newproxy = pcall, xpcall, collectgarbage, newproxy
local getinfo, sethook, traceback, getmetatable = debug.getinfo, debug.sethook, debug.traceback, getmetatable
local create, resume, loadstring = coroutine.create, coroutine.resume, loadstring
local find, match, gmatch, gsub, rep, sub, byte, format =
  string.find, string.match, string.gmatch, string.gsub, string.rep, string.sub, string.byte, string.format
local floor = math.floor

local LONGEST = 16 * 1024 * 1024  -- bytes of a text that a library function makes
local COSTLY = 2e8                -- steps of a pattern in the worst case: about a second
local NOTICED = 1e5               -- the clock is asked before what takes longer: half a millisecond
local DEEPEST = 200               -- repeated items of a pattern: each is a call inside the last, as in Lua 5.2
local COUNTED = 50000             -- beginnings of a pattern that are counted
local SORTED = 2e9                -- bytes that a sort compares in the worst case: about half a second

local S = { sources = {} }
local left, soft, stopped, looks = 0, 0, nil, 0

-- Limits ----------------------------------------------------------------------------------------------------

local function stop(what)
  stopped = what
  error(what, 0)
end

local function look_at_memory()
  if collectgarbage("count") <= soft then return end
  if H.late() then stop("time limit reached") end
  collectgarbage("collect")
  if collectgarbage("count") > soft then stop("memory limit reached") end
end

local function spend(instructions)
  if stopped then error(stopped, 0) end
  left = left - instructions
  if left <= 0 then stop("instruction limit reached") end
  look_at_memory()
end
S.spend = spend

-- The same for a call that may take long by itself.
function S.spend_time(instructions)
  spend(instructions)
  if H.late() then stop("time limit reached") end
end

local function tick()
  spend(STEP)
  looks = looks + 1
  if looks % 4 == 0 and H.late() then stop("time limit reached") end
end

-- Where an error came from: the innermost line that is a policy's own.
local function place()
  for level = 3, 200 do
    local info = getinfo(level, "Sl")
    if not info then return nil end
    if S.sources[info.source] and info.currentline > 0 then
      return info.source, info.currentline, info.short_src
    end
  end
end

-- For a warning: the line of the policy that called.
function S.here()
  local source, line = place()
  return source or "", line or 0
end

local failed_text, failed_source, failed_line = nil, nil, nil

local function handler(problem)
  local source, line, short = place()
  failed_source, failed_line = source, line
  if type(problem) == "string" then
    failed_text = gsub(problem, '^%[string "<python>"%]:%d+: ', "")
    local head = short and short .. ":" .. line .. ": "
    if head and sub(problem, 1, #head) == head then failed_text = sub(problem, #head + 1) end
  elseif type(problem) == "userdata" then
    failed_text = tostring(problem)
  else
    failed_text = "error value of type " .. type(problem)
  end
  return problem
end

-- Call a function under the limits. Returns true and what it returned, or false, text, source, line, whether
-- a limit ended it.
local called, a1, a2, a3, a4, a5 = nil, nil, nil, nil, nil, nil
local function call_it() return called(a1, a2, a3, a4, a5) end

function S.limited(instructions, kilobytes, f, b1, b2, b3, b4, b5)
  left, soft, stopped, looks = instructions, kilobytes, nil, 0
  failed_text, failed_source, failed_line = nil, nil, nil
  called, a1, a2, a3, a4, a5 = f, b1, b2, b3, b4, b5
  sethook(tick, "", STEP)
  local ok, value = native_xpcall(call_it, handler)
  sethook()
  called, a1, a2, a3, a4, a5 = nil, nil, nil, nil, nil, nil
  if ok and not stopped then return true, value end
  if not ok and value == "not enough memory" then stopped = "memory limit reached" end
  return false, stopped or failed_text or tostring(value), failed_source or false, failed_line or 0, stopped ~= nil
end

-- A limit ends the hook for good: no protected call of the policy's own keeps it.
local function settled(ok, ...)
  if stopped then error(stopped, 0) end
  if not ok and (...) == "not enough memory" then stop("memory limit reached") end
  return ok, ...
end

function pcall(f, ...) return settled(native_pcall(f, ...)) end
-- A handler of the policy's own sees no limit: it would run inside the hook that found it, where no other can.
function xpcall(f, h)
  return settled(native_xpcall(f, function(problem)
    if stopped then return problem end
    return h(problem)
  end))
end

coroutine.create = function(f)
  spend(STEP)
  local made = create(f)
  sethook(made, tick, "", STEP)
  return made
end
coroutine.resume = function(c, ...) return settled(resume(c, ...)) end
local function unwrapped(ok, ...)
  if not ok then error((...), 0) end
  return ...
end
coroutine.wrap = function(f)
  local made = coroutine.create(f)
  return function(...) return unwrapped(settled(resume(made, ...))) end
end

-- The end of this state: nothing of Python stays in it.
function S.close()
  for name in pairs(H) do H[name] = nil end
  collectgarbage("collect")
end

-- Libraries -------------------------------------------------------------------------------------------------

local function unboxed(v)
  if type(v) == "userdata" then return tostring(v) end
  return v
end

-- The items of a pattern that may match any length of text, each as a class of characters; "" for %b. `optional`
-- of them counts those that may be left out.
local seen, known = {}, 0
local function repeats_of(p)
  local found = seen[p]
  if found then return found end
  found = { optional = 0 }
  local at = byte(p, 1) == 94 and 2 or 1
  while at <= #p do
    local class, c = nil, sub(p, at, at)
    if c == "%" then
      local following = sub(p, at + 1, at + 1)
      if following == "b" then
        found[#found + 1] = ""
        at = at + 4
      else
        class = c .. following
        at = at + 2
      end
    elseif c == "[" then
      local stop = find(p, "]", at + (sub(p, at + 1, at + 1) == "^" and 3 or 2), true)
      while stop and sub(p, stop - 1, stop - 1) == "%" and sub(p, stop - 2, stop - 2) ~= "%" do
        stop = find(p, "]", stop + 1, true)
      end
      if not stop then break end  -- malformed: Lua says so itself
      class = sub(p, at, stop)
      at = stop + 1
    elseif c == "(" or c == ")" then at = at + 1
    else
      class = c
      at = at + 1
    end
    if class then
      local sign = sub(p, at, at)
      if sign == "*" or sign == "+" or sign == "-" then
        found[#found + 1] = class
        at = at + 1
      elseif sign == "?" then
        found.optional = found.optional + 1
        at = at + 1
      end
    end
  end
  if known > 500 then seen, known = {}, 0 end
  seen[p], known = found, known + 1
  return found
end

local function longest_run(s, class)
  if class == "" or class == "." then return #s end
  local longest, count = 1, 0
  for run in gmatch(s, class .. "+") do
    if #run > longest then longest = #run end
    count = count + 1
    if count % 100 == 0 then spend(1000) end
  end
  return longest
end

-- How often a text has the characters that a pattern begins with: elsewhere a search fails at once. nil where it
-- begins with something else, or they are in it too often to be counted.
local function beginnings(s, p)
  local _, last, head = find(p, "^%(*([%w <>/=:@_]+)")
  if head and find(p, "^[*+?-]", last + 1) then head = sub(head, 1, -2) end
  if not head or head == "" then return nil end
  local count = 0
  for _ in gmatch(s, head) do
    count = count + 1
    if count % 100 == 0 then spend(1000) end
    if count == COUNTED then return nil end
  end
  return count
end

-- No hook can interrupt a search under way, so one that could take for ever is not begun. Its steps: at how many
-- places it may begin, how much of the pattern may match there, and the ways to share the text out among the items
-- that repeat, once as if each took any character, once by the longest run that each could take.
local function affordable(s, p, literal)
  local length = #s
  if length <= 32 and #p <= 6 then return end
  if length > 65536 and H.late() then stop("time limit reached") end
  local items = literal and {} or repeats_of(p)
  local n = #items
  local optional = items.optional or 0
  if n + optional > DEEPEST then error("pattern with more than " .. DEEPEST .. " repeated items", 3) end
  local first = (not literal and byte(p, 1) == 94 and 1 or length) * 2 ^ optional
  if literal then first = first * #p / 100  -- a whole run is compared at once
  elseif #p > 64 then first = first * #p / 8 end
  local steps = first
  for i = 1, n do steps = steps * (length + i) / i end
  if steps > NOTICED and H.late() then stop("time limit reached") end
  if steps <= COSTLY then return end
  steps = first
  if not literal then steps = first / length * (beginnings(s, p) or length) end
  for i = 1, n do
    if steps <= COSTLY then steps = steps * (longest_run(s, items[i]) + 1) end
  end
  if steps > COSTLY then
    error("pattern too costly for a text of " .. length .. " bytes: use msys.pcre (docs/policy-lua.md)", 3)
  end
end

function string.find(s, p, init, literal)
  s, p = unboxed(s), unboxed(p)
  if type(s) == "string" and type(p) == "string" then affordable(s, p, literal) end
  return find(s, p, init, literal)
end
function string.match(s, p, init)
  s, p = unboxed(s), unboxed(p)
  if type(s) == "string" and type(p) == "string" then affordable(s, p) end
  return match(s, p, init)
end
function string.gmatch(s, p)
  s, p = unboxed(s), unboxed(p)
  if type(s) == "string" and type(p) == "string" then affordable(s, p) end
  return gmatch(s, p)
end
string.gfind = string.gmatch
function string.gsub(s, p, r, n)
  s, p = unboxed(s), unboxed(p)
  if type(s) == "string" and type(p) == "string" then affordable(s, p) end
  return gsub(s, p, unboxed(r), n)
end
function string.rep(s, n)
  s = unboxed(s)
  if type(s) == "number" then s = tostring(s) end
  if s == "" then return s end  -- Lua would turn as often as n says
  if type(s) == "string" and (tonumber(n) or 0) * #s > LONGEST then
    error("string.rep: longer than " .. LONGEST .. " bytes", 2)
  end
  return rep(s, n)
end
for _, name in ipairs { "lower", "upper", "sub", "len", "byte", "reverse" } do
  local native = string[name]
  string[name] = function(s, ...) return native(unboxed(s), ...) end
end
local native_format = string.format
function string.format(f, ...)
  local given = { ... }
  for i = 1, select("#", ...) do given[i] = unboxed(given[i]) end
  return native_format(unboxed(f), unpack(given, 1, select("#", ...)))
end
string.dump = nil

-- Without a function of the policy's own Lua compares by itself, which no hook interrupts.
local sort, log = table.sort, math.log
function table.sort(t, before)
  if before == nil and type(t) == "table" then
    local bytes, n = 0, #t
    for i = 1, n do
      local one = t[i]
      if type(one) == "string" then bytes = bytes + #one end
    end
    if n + bytes > NOTICED and H.late() then stop("time limit reached") end
    if bytes * log(n + 1) > SORTED then error("table.sort: too much text to compare", 2) end
  end
  return sort(t, before)
end

local safe_os = { date = os.date, time = os.time, clock = os.clock, difftime = os.difftime }
local loaded, seeall, native_module = package.loaded, package.seeall, module
for _, name in ipairs { "python", "io", "debug", "collectgarbage", "gcinfo", "load", "loadstring", "dofile",
                        "loadfile", "getfenv", "setfenv", "newproxy" } do
  _G[name] = nil
end
loaded.debug, loaded.io, loaded.python = nil, nil, nil
os = safe_os
loaded.os = safe_os
package = { loaded = loaded, seeall = seeall }
loaded.package = package
_TLS, _OSTLS = {}, {}

-- Text of the policy's own as a function; its lines count as a policy's from then on.
function S.chunk(source, name)
  local f, problem = loadstring(source, name)
  if f then S.sources[name] = true end
  return f, problem
end

function require(name)
  name = tostring(unboxed(name))
  local there = loaded[name]
  if there ~= nil then return there end
  local source, chunk = H.module(name)
  if not source then error(chunk, 2) end
  local f, problem = S.chunk(source, chunk)
  if not f then error(problem, 0) end
  loaded[name] = true
  local value = f(name)
  if value ~= nil then loaded[name] = value end
  return loaded[name]
end

-- Numbers of the dialect ------------------------------------------------------------------------------------

local function operator(name, event, whole)
  local meta, pair = {}, {}
  local function apply(x, y)
    local a, b = tonumber(unboxed(x)), tonumber(unboxed(y))
    if not a or not b then error("attempt to perform " .. name .. " on a " .. type(a and y or x) .. " value", 3) end
    return whole(a, b)
  end
  if event == "__concat" then  -- `..` takes its right side first
    meta[event] = function(_, y) return setmetatable({ y }, pair) end
    pair[event] = function(x, p) return apply(x, p[1]) end
  else
    meta[event] = function(x) return setmetatable({ x }, pair) end
    pair[event] = function(p, y) return apply(p[1], y) end
  end
  return setmetatable({}, meta)
end
local function bits(name) return function(a, b) return H.bits(name, a, b) end end
__smtpapi_and = operator("&", "__concat", bits "&")
__smtpapi_or = operator("|", "__concat", bits "|")
__smtpapi_xor = operator("^^", "__concat", bits "^^")
__smtpapi_left = operator("<<", "__concat", bits "<<")
__smtpapi_right = operator(">>", "__concat", bits ">>")
__smtpapi_whole = operator("\\", "__mul", function(a, b) return floor(a / b) end)
__smtpapi_not = setmetatable({}, { __pow = function(_, x) return H.bits("~", tonumber(x) or error("attempt to perform ~ on a " .. type(x) .. " value", 2), 0) end })

-- Objects ---------------------------------------------------------------------------------------------------

-- A kind of object that no policy can take apart: fields by functions, methods by name.
function S.kind(name, methods, get, set)
  local proto = newproxy(true)
  local meta = getmetatable(proto)
  meta.__metatable = name
  meta.__index = function(self, key)
    local method = methods[key]
    if method ~= nil then return method end
    if get then return get(self, key) end
  end
  meta.__newindex = function(self, key, value)
    if not (set and set(self, key, value)) then error("a policy cannot set ." .. tostring(key) .. " of " .. name, 2) end
  end
  return function() return newproxy(proto) end, meta
end

-- A kind of object that holds text: an ec_string.
local texts = setmetatable({}, { __mode = "k" })
local methods = {}
local new, meta = S.kind("ec_string", methods, function(self, key)
  if key == "buffer" then return texts[self] end
  local f = string[key]
  return f
end)
meta.__tostring = function(self) return texts[self] end
meta.__len = function(self) return #texts[self] end
meta.__concat = function(a, b) return tostring(a) .. tostring(b) end
meta.__eq = function(a, b) return tostring(a) == tostring(b) end
meta.__lt = function(a, b) return tostring(a) < tostring(b) end
meta.__le = function(a, b) return tostring(a) <= tostring(b) end
function methods.set(self, value) texts[self] = tostring(value) end
function S.ec_string(text)
  local made = new()
  texts[made] = text
  return made
end

-- A value as the text that Momentum's own functions would store.
function S.text(v)
  local kind = type(v)
  if kind == "string" then return v end
  if kind == "number" then return format("%.14g", v) end
  if kind == "boolean" or kind == "userdata" then return tostring(v) end
  if kind == "table" and (getmetatable(v) or {}).__tostring then return tostring(v) end
  return nil
end
S.loaded, S.getmetatable, S.gmatch, S.match = loaded, getmetatable, gmatch, match
S.native_pcall, S.settled, S.getinfo, S.traceback = native_pcall, settled, getinfo, traceback

return S
