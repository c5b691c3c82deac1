-- Mail of one stream is put off, all other passes; the reply has its own enhanced code.
require("msys.core")
require("msys.extended.message")
local mod = {}
function mod:validate_data(msg, ac, vctx)
  local stream = (msg:header("X-Stream") or {})[1]
  if stream == "paused" then
    vctx:set_code("451", "4.7.1 stream " .. stream .. " is paused, 100% later")
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("pause", mod)
