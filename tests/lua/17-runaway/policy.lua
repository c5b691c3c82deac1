-- A policy with a fault: it loops for mail of one kind, and keeps trying when it is stopped.
require("msys.core")
local mod = {}
function mod:validate_data(msg, ac, vctx)
  while msg:header("X-Loop")[1] do
    pcall(function()
      while true do end
    end)
  end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("loop", mod)
