-- Writes into the log which phases a mail goes through.
require("msys.core");
require("msys.dumper");
require("msys.extended.message");
require("msys.extended.vctx");

local mod = {};
local function say(phase, what)
  print("phase " .. phase .. ": " .. tostring(what or ""))
  return msys.core.VALIDATE_CONT;
end
function mod:core_validate_accept(ac, vctx) return say("accept") end
function mod:validate_connect(ac, vctx) return say("connect", string.match(tostring(ac.remote_addr), "^[^:]+")) end
function mod:validate_ehlo(str, ac, vctx) return say("ehlo", str) end
function mod:validate_mailfrom(str, ac, vctx) return say("mailfrom", str) end
function mod:validate_rcptto(msg, str, ac, vctx) return say("rcptto", str) end
function mod:validate_rcptto_list(list, vctx) return say("list", #list) end
function mod:validate_rcptto_list_final(list, vctx) return say("final", #list) end
function mod:validate_data(msg, ac, vctx) return say("data", msg:header("Subject")[1]) end
function mod:validate_data_spool(msg, ac, vctx) return say("spool", msg:get_message_size() > 100) end
function mod:core_pre_msg_each_rcpt(msg, ac, vctx) return say("before each", msg:rcptto()) end
function mod:validate_data_spool_each_rcpt(msg, ac, vctx) return say("each", msg:rcptto()) end
function mod:core_post_msg_each_rcpt(msg, ac, vctx) return say("after each", msg:rcptto()) end
msys.registerModule("state_logger", mod);
