-- What a client may do is set when it connects, and kept for its session; one that may nothing is sent away.
require("msys.core")
require("msys.extended.vctx")
require("msys.extended.message")
local mod = {};

function mod:validate_connect(accept, vctx)
  local ip = msys.expandMacro("%{i}");
  if ip == "10.6.6.6" then
    vctx:tarpit(10);
    vctx:disconnect(421, "Too many concurrent connections from this client.");
    return msys.core.VALIDATE_DONE;
  end
  vctx:set(msys.core.VCTX_CONN, "my_networks", string.sub(ip, 1, 3) == "10." and "yes" or "no");
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data(msg, accept, vctx)
  local near = msys.expandMacro("%{vctx_conn:my_networks}");
  if near == "yes" then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_campaign_id", "from " .. msys.expandMacro("%{vctx_conn:ehlo_domain}"));
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("ehlo_phase", mod);
