-- Domains are checked in a pool of threads; what comes back decides about tracking.
require("msys.core");
require("msys.threadpool");
require("msys.extended.message");

local mod = {};
local bad = { ["dead.sink.test"] = "NXDOMAIN" };

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local domain = msg:context_get(msys.core.ECMESS_CTX_MESS, "rcptto_domain");
  local status, result = msys.runInPool("DNS",
           function()
             local results, err = nil, bad[domain];
             if !results and err == "NXDOMAIN" then
               return false;
             end

             return true;
           end);

  if status and !result then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_click_tracking", "0");
  end

  return msys.core.VALIDATE_CONT;
end

msys.registerModule("verify_domains", mod);
