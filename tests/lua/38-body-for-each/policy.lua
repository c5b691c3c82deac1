-- The shop has moved; a mail that is asked to be empty gets a text of the policy's.
require("msys.core"); require("msys.extended.message");
local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if msg:header("X-Empty")[1] then
    msg:header("Content-Type", "text/html; charset=utf-8");
    msg:header("Content-Transfer-Encoding", "7bit");
    msg:body("<p>For " .. msg:rcptto() .. ": <a href=\"https://new.example/empty\">here</a></p>\r\n.\r\n");
  else
    msg:mime(false);
    local found = msg:body_replace("https://(shop)\\.example/", "https://new.example/$1/");
    print("found " .. tostring(found and found[1]));
  end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("moved", mod);
