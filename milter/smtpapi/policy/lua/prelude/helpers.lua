-- The tables that a policy finds: msys with its modules, json, thread and the rest.
local H, S = ...

local error, type, tostring, tonumber, select, ipairs, pairs, setmetatable, next =
  error, type, tostring, tonumber, select, ipairs, pairs, setmetatable, next
local spend, text, need, list, ec_string = S.spend, S.text, S.need, S.list, S.ec_string
local unpack, concat, sort, format, rep, floor = unpack, table.concat, table.sort, string.format, string.rep, math.floor
local getmetatable, loaded, gmatch = S.getmetatable, S.loaded, S.gmatch
local CALL = 200

msys = { core = S.core }
local msys = msys

-- What is not there ------------------------------------------------------------------------------------------

-- A call that a milter cannot do: an error, or nothing where the operator said `ignore`.
function S.refused(name)
  local problem = H.refused(name)
  if problem then error(problem, 3) end
  H.warn(name .. " has no effect here (docs/policy-lua.md)", S.here())
end
local function refusing(name)
  return setmetatable({}, {
    __call = function() return S.refused(name) end,
    __index = function(_, key) return refusing(name .. "." .. tostring(key)) end,
  })
end

-- Log --------------------------------------------------------------------------------------------------------

function print(...)
  spend(CALL)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  H.print(6, concat(parts, "\t"))
end
local levels = { EMERG = 0, ALERT = 1, CRITICAL = 2, CRIT = 2, ERROR = 3, ERR = 3, WARNING = 4, NOTICE = 5, INFO = 6,
                 DEBUG = 7 }
for name, level in pairs(levels) do
  S.core["LOG_" .. name] = level
  S.core["D" .. name] = level
  msys["LOG_" .. name] = level
  _G["LOG_" .. name] = level
end
function msys.log(level, message)
  spend(CALL)
  H.print(tonumber(level) or 6, need(message, "the text", "msys.log"))
end

local function dumped(value, seen)
  local kind = type(value)
  if kind == "string" then return format("%q", value) end
  if kind == "number" then return format("%.14g", value) end
  if kind ~= "table" then return kind == "userdata" and format("%q", tostring(value)) or tostring(value) end
  if seen[value] then return "nil --[[ once more ]]" end
  seen[value] = true
  local out, n = {}, #value
  for i = 1, n do out[i] = dumped(value[i], seen) end
  local keys = {}
  for key in pairs(value) do
    if not (type(key) == "number" and key >= 1 and key <= n and key % 1 == 0) then keys[#keys + 1] = key end
  end
  sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and key:find("^[%a_][%w_]*$") and key or "[" .. dumped(key, seen) .. "]"
    out[#out + 1] = name .. "=" .. dumped(value[key], seen)
  end
  seen[value] = nil
  return "{" .. concat(out, ", ") .. "}"
end
msys.dumper = {}
function msys.dumper.Dumper(value)
  return "return " .. dumped(value, {})
end
function msys.expandMacro(template)
  spend(CALL)
  return H.expand(need(template, "the text", "msys.expandMacro"))
end

-- JSON -------------------------------------------------------------------------------------------------------

json = { ERROR_PARSE = 1, ERROR_DEPTH = 2 }
local json, encoded = json, nil
local shown = { __tostring = function(value) return encoded(value, 0) end }
local function built(tokens, at)
  local what = tokens[at]
  if what == "o" or what == "a" then
    local t, n = setmetatable({}, shown), tokens[at + 1]
    at = at + 2
    for i = 1, n do
      local key = i
      if what == "o" then
        key = tokens[at]
        at = at + 1
      end
      t[key], at = built(tokens, at)
    end
    return t, at
  end
  if what == "z" then return nil, at + 1 end
  return tokens[at + 1], at + 2
end
function json.decode(document)
  S.spend_time(CALL)
  local tokens = list(H.json(need(document, "the text", "json.decode")))
  if tokens[1] == "e" then return nil, tokens[2], tokens[3] end
  return (built(tokens, 1))
end
local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quoted(value)
  return '"' .. value:gsub('[%z\1-\31"\\]', function(c) return escapes[c] or format("\\u%04x", c:byte()) end) .. '"'
end
function encoded(value, depth)
  local kind = type(value)
  if depth > 64 then error("json.encode: nested too deeply", 0) end
  if kind == "nil" then return "null" end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then
    if value ~= value or value - value ~= 0 then return "null" end  -- JSON has no such numbers
    return format("%.14g", value)
  end
  if kind ~= "table" then return quoted(tostring(value)) end
  local out = {}
  if value[1] ~= nil then
    for i, one in ipairs(value) do out[i] = encoded(one, depth + 1) end
    return "[" .. concat(out, ",") .. "]"
  end
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, key in ipairs(keys) do out[i] = quoted(tostring(key)) .. ":" .. encoded(value[key], depth + 1) end
  return "{" .. concat(out, ",") .. "}"
end
function json.encode(value) return ec_string(encoded(value, 0)) end
function json.new() return setmetatable({}, shown) end
function json.strerror(number) return number == 2 and "nested too deeply" or "not JSON" end
msys.json = json

-- Patterns ---------------------------------------------------------------------------------------------------

msys.pcre = {}
function msys.pcre.match(subject, pattern)
  S.spend_time(CALL)
  local count, problem, at = H.pcre_match(need(subject, "the text", "msys.pcre.match"),
                                          need(pattern, "the pattern", "msys.pcre.match"))
  if count == nil then return nil, problem, at end
  if not count then return nil end
  return S.groups(H.groups())
end
function msys.pcre.replace(subject, pattern, with)
  S.spend_time(CALL)
  local found, problem = H.pcre_replace(need(subject, "the text", "msys.pcre.replace"),
                                        need(pattern, "the pattern", "msys.pcre.replace"),
                                        need(with, "the replacement", "msys.pcre.replace"))
  if problem then return nil, problem end
  return found
end
function msys.pcre.split(subject, pattern)
  S.spend_time(CALL)
  local found = list(H.pcre_split(need(subject, "the text", "msys.pcre.split"),
                                  need(pattern, "the pattern", "msys.pcre.split")))
  if found[1] == false then return nil, found[2] end
  return found
end

-- Datasources and lists of networks --------------------------------------------------------------------------

local function parameters(given, call)
  if given == nil then return 0 end
  if type(given) ~= "table" then error(call .. ": the parameters are no table", 3) end
  local flat, n = {}, 0
  for key, value in pairs(given) do
    flat[n + 1], flat[n + 2] = tostring(key), type(value) == "number" and value or need(value, tostring(key), call)
    n = n + 2
  end
  return n, unpack(flat, 1, n)
end
local function rows(call, source, query, given, options)
  S.spend_time(CALL)
  options = options or {}
  local found = list(H.db(need(source, "the datasource", call), need(query, "the query", call),
                          options.nocache and true or false, parameters(given, call)))
  if found[1] == false then
    if options.raise_error == false then return nil, found[2] end
    error(call .. ": " .. found[2], 3)
  end
  local columns, out, at = found[1], {}, 2
  local names = {}
  for i = 1, columns do names[i] = found[i + 1] end
  at = columns + 2
  while at <= #found do
    local row = {}
    for i = 1, columns do
      if found[at] == "n" then at = at + 1
      else
        row[names[i]] = found[at + 1]
        at = at + 2
      end
    end
    out[#out + 1] = row
  end
  return out
end
msys.db = {}
function msys.db.query(source, query, given, options)
  local found, problem = rows("msys.db.query", source, query, given, options)
  if not found then return nil, problem end
  local i = 0
  return function()
    i = i + 1
    return found[i]
  end
end
function msys.db.fetch_row(source, query, given, options)
  local found, problem = rows("msys.db.fetch_row", source, query, given, options)
  if not found then return nil, problem end
  return found[1]
end
msys.cidr = {}
function msys.cidr.define(name, options)
  spend(CALL)
  options = options or {}
  if type(options) ~= "table" then options = { type = options } end
  local bad = H.cidr_define(need(name, "the name", "msys.cidr.define"), text(options.type) or "rbldnsd",
                            text(options.source) or "", text(options.value) or "txt",
                            options.default_value ~= nil and text(options.default_value) or false,
                            tonumber(options.refresh) or 1800)
  if bad then error("msys.cidr.define: " .. bad, 2) end
  return true
end
function msys.cidr.query(name, address)
  spend(CALL)
  local found, bad = H.cidr_query(need(name, "the name", "msys.cidr.query"), address ~= nil and text(address) or "")
  if bad then error("msys.cidr.query: " .. bad, 2) end
  return found
end
function msys.cidr.reload(name)
  S.spend_time(CALL)
  local bad = H.cidr_reload(need(name, "the name", "msys.cidr.reload"))
  if bad then error("msys.cidr.reload: " .. bad, 2) end
  return true
end

-- Texts ------------------------------------------------------------------------------------------------------

local function coder(name)
  return function(input, ...)
    spend(CALL)
    local found, problem = H.code_text(name, need(input, "the text", "msys." .. name), text((...)) or "")
    if problem then error("msys." .. name .. ": " .. problem, 2) end
    return found
  end
end
msys.base64 = { encode = coder "base64.encode", decode = coder "base64.decode" }
msys.qp = { encode = coder "qp.encode", decode = coder "qp.decode" }
msys.idn = { to_idn = coder "idn.to_idn", to_utf8 = coder "idn.to_utf8" }
function msys.parseRFC2822Addresses(addresses, component)
  spend(CALL)
  return list(H.parse_addresses(need(addresses, "the text", "msys.parseRFC2822Addresses"), text(component) or "all"))
end
function msys.readfile(name)
  S.spend_time(CALL)
  local found, problem = H.readfile(need(name, "the name", "msys.readfile"))
  if problem then return nil, problem end
  return found
end
function msys.type(value)
  local kind = type(value)
  if kind ~= "userdata" then return kind end
  local name = getmetatable(value)
  return type(name) == "string" and name or kind
end
function msys.get_now_ts() return S.core.get_now_ts() end

-- Threads, of which there is one -----------------------------------------------------------------------------

function msys.sleep(seconds)
  S.spend_time(CALL)
  H.sleep(tonumber(seconds) or 0)
end
function msys.asyncOk() return false end
function msys.runInPool(_, f)
  return S.settled(S.native_pcall(f))
end
msys.runInInst = msys.runInPool
function msys.lock() return true end
function msys.unlock() return true end
thread = {}
function thread.mutex()
  return { lock = function() return true end, unlock = function() return true end,
           trylock = function() return true end }
end

-- The old policy editor's functions --------------------------------------------------------------------------

local editor = {}
msys.policyeditor = editor
function editor.get_mailfrom() return S.msg:mailfrom() end
function editor.get_rcptto() return S.msg:rcptto() end
function editor.get_header(_, _, given) return S.msg:header(given.name or given[1])[1] end
for name, level in pairs { conn = 2, mess = 1 } do
  editor["vctx_" .. name .. "_get"] = function(_, _, given) return S.msg:context_get(level, given.name or given[1]) end
  editor["vctx_" .. name .. "_set"] = function(_, _, given)
    return S.msg:context_set(level, given.name or given[1], given.value or given[2])
  end
end
function editor.set_variable(_, variables, given)
  variables[given.name or given[1]] = given.value or given[2]
  return true
end
function editor.pcre_match(_, _, given) return msys.pcre.match(given.value or given[1], given.pattern or given[2]) end

-- Modules ----------------------------------------------------------------------------------------------------

msys.registerModule = S.register
for name in gmatch(H.offered(), "%S+") do
  local at = name == "msys" and msys or json
  if name:sub(1, 5) == "msys." then
    at = msys
    for word in gmatch(name:sub(6), "[^.]+") do
      if at[word] == nil then at[word] = {} end
      at = at[word]
    end
  elseif name == "thread" then at = thread
  elseif name ~= "json" and name ~= "msys" then at = true end
  loaded[name] = at
end
-- What a milter cannot do raises an error that says so, also where no one saw it at load time.
for name, method in gmatch(H.refusals(), "(%S+)=(%S+)") do
  local kind, word = name:match("^(%w+):([%w_]+)$")
  if kind then
    local methods = ({ msg = S.msg_methods, vctx = S.vctx_methods, ac = S.ac_methods, part = S.part_methods })[kind]
    if methods and methods[word] == nil then methods[word] = function() return S.refused(name) end end
  else
    local at, last = _G, nil
    for step in gmatch(method, "[^.]+") do
      if last then
        if type(at[last]) ~= "table" then at[last] = {} end
        at = at[last]
      end
      last = step
    end
    if at[last] == nil then at[last] = refusing(name) end
  end
end
