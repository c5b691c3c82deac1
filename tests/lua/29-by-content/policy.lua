-- What stands in the text becomes metadata, whatever the text's transfer encoding.
require("msys.core");
require("msys.extended.message");
require("json");
local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local found = msg:text_match("(?i)coupon\\s+(?P<code>[A-Z]{2}-\\d+)");
  if found then
    local o = json.new();
    o.coupon = found["code"];
    msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_metadata", tostring(json.encode({ coupon = found["code"] })));
  end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("coupons", mod);
