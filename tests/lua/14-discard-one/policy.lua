-- Copies for a test address are accepted and dropped.
require("msys.core"); require("msys.extended.message");
local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if msg:rcptto():find("blackhole@", 1, true) == 1 then
    msg:discard("550 5.7.1 test address");
  end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("blackhole", mod);
