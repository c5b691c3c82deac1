-- The objects that hooks are called with: msg, vctx, ac and parts. Each state serves one message at a time, so
-- there is one of each; what they say comes from Python (H).
local H, S = ...

local error, type, tostring, tonumber, select, ipairs, setmetatable, pairs =
  error, type, tostring, tonumber, select, ipairs, setmetatable, pairs
local spend, text, ec_string, kind = S.spend, S.text, S.ec_string, S.kind
local CALL = 200  -- instructions that a call into Python counts for

-- All of a list that Python hands over in pieces, since a call returns some hundreds of values at most.
local function list(...)
  local t, n = { ... }, select("#", ...)
  while n > 0 and n % 200 == 0 do
    local more = { H.more() }
    if #more == 0 then break end
    for i = 1, #more do t[n + i] = more[i] end
    n = n + #more
  end
  return t
end
S.list = list

local function need(value, name, call)
  local found = text(value)
  if found == nil then error(call .. ": " .. name .. " is a " .. type(value) .. ", not text", 3) end
  return found
end
S.need = need

S.reports_binding = H.reports_binding()  -- whether the MTA is told of a binding

local core = {
  VALIDATE_CONT = 0, VALIDATE_DONE = 1, VALIDATE_AGAIN = 2,
  VCTX_MESS = 1, VCTX_CONN = 2, ECMESS_CTX_MESS = 1, ECMESS_CTX_CONN = 2,
  EC_MSG_ENV_FROM = 1, EC_MSG_ENV_TO = 2, EC_MSG_ENV_COMPLETE = 4,
  AF_INET = 2, AF_INET6 = 10, P_ESMTP = 2, P_INTERNAL = 1,
}
S.core = core

-- Context ---------------------------------------------------------------------------------------------------

local function context_get(_, level, key)
  spend(CALL)
  return H.get(level, text(key)) or ""
end
local function context_set(_, level, key, value)
  spend(CALL)
  local name, stored = text(key), text(value)
  if name == nil or stored == nil then
    H.warn("Attempt to set null key or value in context", S.here())
    return
  end
  local bad = H.set(level, name, stored)
  if bad then error(bad, 2) end
end
local function context_exists(_, level, key)
  spend(CALL)
  return H.get(level, text(key)) and 1 or 0
end
local function context_exists_and_get(_, level, key)
  spend(CALL)
  local found = H.get(level, text(key))
  if found then return 1, found end
  return 0, nil
end
local function context_delete(_, level, key)
  spend(CALL)
  return H.delete(level, text(key)) and 1 or 0
end

local V = { get = context_get, set = context_set, exists = context_exists, delete = context_delete,
            exists_and_get = context_exists_and_get }

local function set_code(code, reply, call)
  local number = tonumber(text(code))
  if not number then error(call .. ": the code is no number", 3) end
  local bad = H.set_code(number, need(reply == nil and "" or reply, "text", call))
  if bad then error(bad, 3) end
end
function V.set_code(_, code, reply)
  spend(CALL)
  set_code(code, reply, "vctx:set_code")
end
function V.disconnect(_, code, reply)
  spend(CALL)
  set_code(code or 421, reply, "vctx:disconnect")
end
function V.tarpit()
  spend(CALL)
  H.warn("vctx:tarpit does not wait here (docs/policy-lua.md)", S.here())
end
local before_first = { __index = function(_, key) if key == 0 then return "" end end }
function V.recipient_list()
  spend(CALL)
  return setmetatable(list(H.recipients()), before_first)
end
local function each_address(value, call, f)
  if type(value) == "table" then
    for _, one in ipairs(value) do f(need(one, "address", call)) end
  else
    f(need(value, "address", call))
  end
end
function V.add_recipient(_, address)
  spend(CALL)
  each_address(address, "vctx:add_recipient", function(one)
    local bad = H.add_recipient(one)
    if bad then error(bad, 4) end
  end)
end
function V.remove_recipient(_, address)
  spend(CALL)
  each_address(address, "vctx:remove_recipient", function(one)
    local bad = H.remove_recipient(one)
    if bad then error(bad, 4) end
  end)
end

-- Message ---------------------------------------------------------------------------------------------------

local M = {
  context_get = context_get, context_set = context_set, context_exists = context_exists,
  context_delete = context_delete, context_exists_and_get = context_exists_and_get,
}

function M.header(_, name, ...)
  spend(CALL)
  name = need(name, "the field's name", "msg:header")
  if select("#", ...) == 0 then return list(H.header(0, name)) end
  local value, mode = ...
  if value == nil or value == "" then
    local removed, bad = H.remove_header(name)
    if bad then error(bad, 2) end
    return removed
  end
  if type(value) ~= "table" then value = { value } end
  mode = mode and text(mode) or "replace"
  if mode == "replace" then
    local _, bad = H.remove_header(name)
    if bad then error(bad, 2) end
  end
  for i = 1, #value do
    -- Several on top keep their order.
    local one = need(value[mode == "prepend" and #value + 1 - i or i], "a value", "msg:header")
    local bad = H.add_header(name, one, mode)
    if bad then error(bad, 2) end
  end
  return true
end
function M.address_header(_, name, component)
  spend(CALL)
  return list(H.addresses(0, need(name, "the field's name", "msg:address_header"), text(component) or "all"))
end
function M.rcptto(_, ...)
  spend(CALL)
  if select("#", ...) > 0 then
    local bad = H.set_recipient(need((...), "the address", "msg:rcptto"))
    if bad then error("msg:rcptto(address): " .. bad, 2) end
  end
  return H.recipient()
end
function M.mailfrom(_, ...)
  spend(CALL)
  if select("#", ...) > 0 then
    local bad = H.set_sender(need((...), "the address", "msg:mailfrom"))
    if bad then error("msg:mailfrom(address): " .. bad, 2) end
  end
  return H.sender()
end
function M.get_envelope2(_, flags, localpart, domain)
  spend(CALL)
  flags = tonumber(flags) or error("msg:get_envelope2: the flags are no number", 2)
  local complete = flags >= 4
  if complete then flags = flags - 4 end
  if flags ~= 1 and flags ~= 2 then error("msg:get_envelope2: EC_MSG_ENV_FROM or EC_MSG_ENV_TO, not both", 2) end
  local address = flags == 1 and H.sender() or H.recipient()
  if complete then
    localpart:set(address)
    return 1
  end
  local l, d = H.split(address)
  if localpart then localpart:set(l) end
  if domain then domain:set(d) end
  return 1
end
function M.listener_addr(_, flag)
  spend(CALL)
  return H.listener(text(flag) or "all")
end
function M.reception_peer(_, flag)
  spend(CALL)
  return H.peer(text(flag) or "all")
end
function M.get_message_size() spend(CALL) return H.size() end
function M.is_mcmt() return false end
function M.get_delivery_method() return "smtp" end
function M.body(_, ...)
  S.spend_time(CALL)
  if select("#", ...) > 0 then
    local problem = H.set_body(need((...), "the text", "msg:body"))
    if problem then error("msg:body(text): " .. problem, 2) end
    S.forget_parts()
  end
  local found, bad = H.body()
  if bad then error(bad, 2) end
  return found
end
-- The first match, as msg:body_match has it; all of them are replaced.
function M.body_replace(_, pattern, replacement)
  S.spend_time(CALL)
  local call = "msg:body_replace"
  local count, bad = H.replace_body(need(pattern, "the pattern", call), need(replacement, "the replacement", call))
  S.spend_time(0)
  if count == nil then error(call .. ": " .. bad, 2) end
  if not count then return false end
  S.forget_parts()
  return S.groups(H.groups())
end
function M.raw(_, ...)
  S.spend_time(CALL)
  if select("#", ...) > 0 then return S.refused("msg:raw(text)") end
  local found, bad = H.raw()
  if bad then error(bad, 2) end
  return found, #found
end
local function texts(part, call)
  local found = list(H.texts(part))
  if found[1] == false then error(call .. ": the text is too large for a policy", 3) end
  if #found == 0 then return nil end
  if #found == 1 then return found[1] end
  return found
end
function M.text(_, ...)
  S.spend_time(CALL)
  if select("#", ...) > 0 then return S.refused("msg:text(text)") end
  return texts(0, "msg:text")
end
local function matcher(where, call)
  return function(part, pattern)
    S.spend_time(CALL)
    local number = S.part_number(part)
    local count, found = H.match_in(where, number, need(pattern, "the pattern", call))
    if count == nil then error(call .. ": " .. found, 2) end
    if not count then return false end
    return S.groups(H.groups())
  end
end
function M.discard(_, reason)
  spend(CALL)
  H.discard(text(reason) or "")
end
function M.code(_, number, reply)
  spend(CALL)
  if number == nil then return H.code() end
  if tonumber(text(number)) == 0 then
    local digits, rest = H.code_in(text(reply) or "")
    number, reply = digits, rest
  end
  set_code(number, reply, "msg:code")
end

-- Where the mail goes out is the MTA's to say; `policy { binding_header }` tells it.
for name, domain in pairs { binding = false, binding_group = false, routing_domain = true } do
  M[name] = function(_, value)
    spend(CALL)
    if value ~= nil and S.reports_binding then
      local chosen, bad = H.route(domain, need(value, "the name", "msg:" .. name))
      if bad then H.warn("msg:" .. name .. " " .. bad .. " (docs/policy-lua.md)", S.here()) end
      return chosen
    end
    if value ~= nil then return S.refused("msg:" .. name) end
    local chosen = H.route(domain, nil)
    if chosen ~= "" then return chosen end
    if domain then return (select(2, H.split(H.recipient())):lower()) end
    return nil
  end
end

-- The groups of a match that Python found: 0 the whole, 1 and on the groups, and names.
function S.groups(...)
  local t = {}
  local n = (...)
  for i = 0, n do t[i] = (select(i + 2, ...)) end
  for i = n + 3, select("#", ...), 2 do t[(select(i, ...))] = (select(i + 1, ...)) end
  return t
end

-- Parts -----------------------------------------------------------------------------------------------------

local numbers = setmetatable({}, { __mode = "k" })
local P = {}
local new_part
local function part(number)
  local made = new_part()
  numbers[made] = number
  return made
end
new_part = kind("part", P, function(self, key)
  if key == "thread" then
    local following = (numbers[self] or error("this part is gone: the body was changed since", 2)) + 1
    if following <= H.parts() then return part(following) end
  end
end)
-- Parts that a policy still holds are not those of a body that it changed since.
local function place(value)
  return numbers[value] or error("this part is gone: the body was changed since", 3)
end
function S.part_number(value) return S.getmetatable(value) == "part" and place(value) or 0 end
function S.forget_parts() numbers = setmetatable({}, { __mode = "k" }) end
function M.mime()
  spend(CALL)
  H.parts()
  return part(1)
end
function P.header(self, name, ...)
  spend(CALL)
  if select("#", ...) > 0 then return S.refused("part:header(name, value)") end
  return list(H.header(place(self), need(name, "the field's name", "part:header")))
end
function P.text(self, ...)
  S.spend_time(CALL)
  if select("#", ...) > 0 then return S.refused("part:text(text)") end
  return texts(place(self), "part:text")
end
function P.content_type(self)
  spend(CALL)
  local mimetype, charset, encoding, attachment, filename = H.content_type(place(self))
  return { mimetype = mimetype, charset = charset, encoding = encoding, is_attachment = attachment,
           filename = filename }
end
function P.address_header(self, name, component)
  spend(CALL)
  return list(H.addresses(place(self), need(name, "the field's name", "part:address_header"),
                          text(component) or "all"))
end
for _, where in ipairs { "text", "body", "raw" } do
  M[where .. "_match"] = matcher(where, "msg:" .. where .. "_match")
  P[where .. "_match"] = matcher(where, "part:" .. where .. "_match")
end

-- Connection ------------------------------------------------------------------------------------------------

local A = {}
local families = setmetatable({}, { __mode = "k" })
local function sockaddr()
  local shown, family = H.remote()
  local made = ec_string(shown)
  families[made] = family
  return made
end
function core.ec_sockaddr_family(address) return families[address] or core.AF_INET end
function core.string_new() return ec_string("") end
function core.get_now_ts() spend(CALL) return H.now() end

local msg, ac, vctx
ac = kind("ac", A, function(_, key)
  if key == "remote_addr" then return sockaddr() end
  if key == "conn_id" then return ec_string(H.id("connection")) end
  if key == "protocol" then return core.P_ESMTP end
end)()
msg = kind("msg", M, function(_, key)
  if key == "id" or key == "batch_id" then return ec_string(H.id("message")) end
  if key == "conn_id" then return ec_string(H.id("connection")) end
  if key == "recv_method" then return core.P_ESMTP end
  if key == "priority" then return 0 end
end, function(_, key)
  if key == "priority" then
    H.warn("msg.priority has no effect here (docs/policy-lua.md)", S.here())
    return true
  end
end)()
vctx = kind("vctx", V, nil, function(_, key, value)
  if key == "disconnect" then
    if value and value ~= 0 then
      local code, reply = H.code()
      H.set_code(code == 0 and 421 or code, code == 0 and "" or reply)
    end
    return true
  end
end)()
local construct = { message = msg }
function core.accept_construct_get_message_construct() return construct end
S.msg, S.msg_methods, S.vctx_methods, S.ac_methods, S.part_methods = msg, M, V, A, P

-- Hooks -----------------------------------------------------------------------------------------------------

local modules = {}
S.modules = modules  -- Python reads the names of their hooks

local function answers(module, hook, value)
  if value == core.VALIDATE_AGAIN then
    error(hook .. " of module " .. module.name .. " returned VALIDATE_AGAIN: a milter cannot call it again", 0)
  end
  if value ~= core.VALIDATE_CONT and value ~= core.VALIDATE_DONE then
    H.warn(hook .. " of module " .. module.name .. " returned neither VALIDATE_CONT nor VALIDATE_DONE", "", 0)
  end
  return value == core.VALIDATE_DONE
end

-- Call a hook of each module that has it. Returns whether one said that the phase is done.
function S.run(hook, argument, fresh, shape)
  for i = 1, #modules do
    local module = modules[i]
    if fresh then module.self = setmetatable({}, { __index = module.hooks }) end
    local f = module.hooks[hook]
    if type(f) == "function" then
      local self, value = module.self, nil
      if shape == "mav" then value = f(self, msg, ac, vctx)
      elseif shape == "av" then value = f(self, ac, vctx)
      elseif shape == "sav" then value = f(self, ec_string(argument), ac, vctx)
      elseif shape == "msav" then value = f(self, msg, ec_string(argument), ac, vctx)
      elseif shape == "m" then value = f(self, msg)
      elseif shape == "lv" then value = f(self, V.recipient_list(), vctx)
      else value = f(self) end
      if shape ~= "" and answers(module, hook, value) then
        for j = i + 1, #modules do
          if fresh then modules[j].self = setmetatable({}, { __index = modules[j].hooks }) end
        end
        return true
      end
    end
  end
  return false
end

-- Call init of the modules that were registered since. It must return exactly true.
function S.begin()
  for i = 1, #modules do
    local module = modules[i]
    if not module.begun then
      module.begun = true
      module.self = setmetatable({}, { __index = module.hooks })
      for _, name in ipairs { "init", "rsrc_setup" } do
        local f = module.hooks[name]
        if type(f) == "function" then
          local value = f(module.self)
          if value ~= true then
            error(name .. " of module " .. module.name .. " returned " .. tostring(value) .. ", not true", 0)
          end
        end
      end
    end
  end
end

function S.register(name, hooks)
  if type(hooks) ~= "table" then error("msys.registerModule: the second argument is no table", 3) end
  local _, line = S.here()
  modules[#modules + 1] = { name = need(name, "the name", "msys.registerModule"), hooks = hooks, line = line }
end
