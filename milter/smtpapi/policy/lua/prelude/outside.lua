-- What policies ask about what is outside their message: counts of traffic, names in the DNS, the
-- configuration; and the harmless part of Lua's library `debug`.
local H, S = ...

local error, type, tostring, tonumber, ipairs, pairs, select = error, type, tostring, tonumber, ipairs, pairs, select
local spend, text, need, core = S.spend, S.text, S.need, S.core
local msys, getinfo, traceback, getmetatable = msys, S.getinfo, S.traceback, S.getmetatable
local floor = math.floor
local CALL = 200

-- A count that cannot be had is 0, with a warning: it is not worth a mail's tracking.
local function counted(found, bad)
  if bad then H.warn(bad .. " (docs/policy-lua.md)", S.here()) end
  return found or 0
end

-- The key of an entry, nil for the client itself: an address, a text, or `ac`.
local function key_of(given)
  if type(given) == "table" then given = given.key end
  if given == nil or getmetatable(given) == "ac" then return nil end
  return text(given)
end
local function windows_of(given)
  if type(given) ~= "table" then return 0, 0 end
  return floor(tonumber(given.startv) or 0), floor(tonumber(given.endv) or 0)
end

-- What clients did -------------------------------------------------------------------------------------------

for _, kind in ipairs { "connections", "receptions", "rejections" } do
  msys.audit[kind] = function(monitor, options)
    spend(CALL)
    local first, last = windows_of(options)
    local cidr = options
    if type(options) == "table" then cidr = options.cidr end
    return counted(H.audit(kind, need(monitor, "the monitor", "msys.audit." .. kind), first, last, text(cidr) or ""))
  end
end
function msys.audit.inbound_session_count(cidr, service)
  spend(CALL)
  return counted(H.sessions(text(cidr) or "", text(service) or ""))
end
function S.ac_methods.inbound_session_count(_, cidr, service)
  spend(CALL)
  return counted(H.sessions(text(cidr) or "", text(service) or ""))
end
function S.ac_methods.pbp_inbound_session_count_service(_, service, cidr)
  spend(CALL)
  return counted(H.sessions(text(cidr) or "", text(service) or ""))
end
for _, name in ipairs { "esmtp_capability_add", "esmtp_capability_remove" } do
  S.ac_methods[name] = function()
    spend(CALL)
    H.warn("ac:" .. name .. " has no effect here: the MTA answers EHLO (docs/policy-lua.md)", S.here())
  end
end

-- Counts of the policy's own ---------------------------------------------------------------------------------

local series = msys.audit_series
function series.define(name, kind, seconds, windows)
  spend(CALL)
  local call = "msys.audit_series.define"
  local _, bad = H.series_define(need(name, "the name", call), need(kind, "the type", call), tonumber(seconds) or 0,
                                 tonumber(windows) or 0)
  if bad then error(call .. ": " .. bad, 2) end
  return true
end
function series.add(name, options)
  spend(CALL)
  local count = type(options) == "table" and tonumber(options.count) or 1
  counted(H.series_add(text(name) or "nil", key_of(options), count))
end
function series.count(name, options)
  spend(CALL)
  local first, last = windows_of(options)
  return counted(H.series_count(text(name) or "nil", key_of(options), first, last))
end
function series.remove_item(name, key)
  spend(CALL)
  counted(H.series_remove(text(name) or "nil", key_of(key)))
end

-- A counter's handle is its path.
local counter = msys.counter
counter.STRICT, counter.RELAXED = 0, 1
function counter.open(path)
  return need(path, "the path", "msys.counter.open")
end
local function counts(name, how, delta)
  counter[name] = function(path, number)
    spend(CALL)
    local by = delta or tonumber(text(number))
    if not by then error("msys.counter." .. name .. ": the number is missing", 2) end
    return counted(H.counter(how, need(path, "the path", "msys.counter." .. name), by))
  end
end
counts("inc", "add", 1)
counts("add", "add", nil)
counts("read", "add", 0)
counts("reset", "set", 0)
counts("unlink", "unlink", 0)

local gauges = msys.gauge_cache
function gauges.define(name, most, ttl)
  spend(CALL)
  local call = "msys.gauge_cache.define"
  local _, bad = H.gauge_define(need(name, "the name", call), tonumber(most) or 0, tonumber(ttl) or 0)
  if bad then error(call .. ": " .. bad, 2) end
  return true
end
for name, change in pairs { inc = 1, dec = -1, get = 0, remove_item = false } do
  gauges[name] = function(cache, key)
    spend(CALL)
    local call = "msys.gauge_cache." .. name
    return counted(H.gauge(need(cache, "the cache", call), need(key, "the key", call), change or nil))
  end
end

-- Names ------------------------------------------------------------------------------------------------------

function msys.dnsLookup(name, kind, options)
  S.spend_time(CALL)
  local server = type(options) == "table" and text(options.server) or ""
  local found = { H.dns(need(name, "the name", "msys.dnsLookup"), text(kind) or "A", server) }
  S.spend_time(0)
  if found[1] == nil then return nil, found[2] end
  if found[1] == false then error("msys.dnsLookup: " .. found[2], 2) end
  local out = {}
  for i = 1, #found, 2 do
    out[#out + 1] = type(options) == "table" and options.priority and { found[i], found[i + 1] } or found[i + 1]
  end
  return out
end

-- Momentum's default policy ----------------------------------------------------------------------------------

local pbp, HEAD = msys.pbp, "dp_whitelist_"
function pbp.check_whitelist(vctx, names)
  if type(names) == "table" and names.honor_whitelist then names = names.honor_whitelist end
  for _, name in ipairs(type(names) == "table" and names or { names }) do
    local key = HEAD .. tostring(name)
    if vctx:exists(core.VCTX_CONN, key) == 1 or vctx:exists(core.VCTX_MESS, key) == 1 then return true end
  end
  return false
end
function pbp.set_whitelist(vctx, level, name, value)
  if value == false then vctx:delete(level, HEAD .. tostring(name))
  else vctx:set(level, HEAD .. tostring(name), value == nil and "true" or value) end
end
local units = { [""] = 1, b = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }
function pbp.size_in_bytes(size)
  local number, unit = (text(size) or ""):match("^%s*(%d+)%s*(%a?)[bB]?%s*$")
  local by = units[(unit or "?"):lower()]
  if not by then error("msys.pbp.size_in_bytes: " .. tostring(size) .. " is no size", 2) end
  return tonumber(number) * by
end
function pbp.fcdns_check(_, vctx)
  S.spend_time(CALL)
  local name, there, back = H.fcdns()
  S.spend_time(0)
  local good = there == "" and back == "" and name ~= ""
  vctx:set(core.VCTX_CONN, "reverse_dns", name)
  vctx:set(core.VCTX_CONN, "fcdns_status", good)
  return good, there ~= "" and there or nil, back ~= "" and back or nil
end

-- The configuration ------------------------------------------------------------------------------------------

function msys.config(action)
  spend(CALL)
  if text(action) ~= "get" then error("msys.config: only get is built (docs/policy-lua.md)", 2) end
  H.warn("msys.config knows no option here and gives nil (docs/policy-lua.md)", S.here())
  return nil, ""
end
-- Which bindings there are the MTA knows: each name that a policy has counts as one.
function core.config_get_binding_id_from_name(name)
  return (text(name) or "") ~= "" and 0 or -1
end
function core.config_get_binding_name_from_id(id) return tostring(id) end
function core.config_get_binding_group_size() return 0 end

-- Lua's debug, without what reaches out of the policy -------------------------------------------------------

function debug.traceback(message, level)
  if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
  return traceback(message, (tonumber(level) or 1) + 1)
end
function debug.getinfo(where)
  local info = getinfo(type(where) == "number" and where + 1 or where, "Snl")
  if not info then return nil end
  return { source = info.source, short_src = info.short_src, currentline = info.currentline, what = info.what,
           linedefined = info.linedefined, lastlinedefined = info.lastlinedefined, name = info.name,
           namewhat = info.namewhat }
end
function debug.output(...)
  spend(CALL)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  H.print(7, table.concat(parts, "\t"))
end
S.loaded.debug = debug
function trim(value) return (need(value, "the text", "trim"):match("^%s*(.-)%s*$")) end
