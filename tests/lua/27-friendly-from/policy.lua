-- Who the reader sees as the sender, and where replies go, stand in the events.
require("msys.core")
require("msys.extended.message")

local mod = {}
local mctx = msys.core.ECMESS_CTX_MESS;

function mod:core_pre_msg_each_rcpt(msg, ac)
  local from = msg:header("reply-to");
  if from ~= nil and from[1] ~= nil then
    msg:context_set(mctx, "cust_reply_to", tostring(from[1]))
  end
  local domains = msg:address_header("From", "domain")
  msg:context_set(mctx, "cust_shown", table.concat(domains, "+"))
end

msys.registerModule("friendly_from", mod)
