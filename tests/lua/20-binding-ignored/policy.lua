-- Chooses the address that mail goes out by, which is the MTA's to say.
require("msys.core"); require("msys.extended.message"); require("msys.extended.message_routing");
local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local h = msg:header("X-Binding");
  if h[1] then msg:binding(h[1]); end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("binding", mod);
