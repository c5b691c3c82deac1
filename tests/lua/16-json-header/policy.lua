-- A sender's own JSON header becomes metadata and switches.
local core = require("msys.core")
require("json")
require("msys.extended.message")
local mod = {}
function mod:validate_data_spool(msg, ac, vctx)
  local text = msg:header("X-Options")[1]
  if not text then return core.VALIDATE_CONT end
  local o, code, problem = json.decode(text)
  if o == nil then
    vctx:set_code(550, "5.6.0 X-Options: " .. problem)
    return core.VALIDATE_DONE
  end
  if o.opens == false then vctx:set(core.VCTX_MESS, "smtpapi_open_tracking", "0") end
  vctx:set(core.VCTX_MESS, "smtpapi_metadata", tostring(json.encode(o.meta or {})))
  msg:header("X-Options", "")
  return core.VALIDATE_CONT
end
msys.registerModule("options", mod)
