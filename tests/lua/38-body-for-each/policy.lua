-- The shop has moved, in all copies; each begins with whom it is for.
require("msys.core"); require("msys.extended.message");
local mod = {};
function mod:validate_data_spool(msg, ac, vctx)
  msg:body_replace("https://(shop)\\.example/", "https://new.example/$1/");
  return msys.core.VALIDATE_CONT;
end
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:body_replace("(?i)<p>", "<p>For " .. msg:rcptto() .. ": ");
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("moved", mod);
