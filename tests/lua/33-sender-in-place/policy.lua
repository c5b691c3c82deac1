-- Bounces come to an address of their own, in VERP form: bounce-USER=HOST@bounces.sender.test. Notices have none.
require("msys.core"); require("msys.extended.message");
local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local from, rcpt = msg:mailfrom(), msg:rcptto();
  if from != "" then
    local user, host = rcpt:match("^(.-)@(.*)$");
    from = msg:mailfrom("bounce-" .. user .. "=" .. host .. "@bounces.sender.test");
    if msg:header("X-Notice")[1] then msg:mailfrom(""); end
    print("sender: " .. from .. ", now " .. msg:mailfrom());
  end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("verp", mod);
