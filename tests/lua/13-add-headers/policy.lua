-- Fields are added, replaced and put on top; a value beyond ASCII is encoded.
require("msys.core"); require("msys.extended.message");
local mod = {};
function mod:validate_data_spool(msg, ac, vctx)
  msg:header("X-Team", "Größe");
  msg:header("X-Trace", "seen", "prepend");
  msg:header("Subject", msg:header("subject")[1] .. " [news]");
  msg:header("X-Secret", "");
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("headers", mod);
