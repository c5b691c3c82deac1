module("inbound.stamp", package.seeall);
function active_for_phase(phase)
  return phase == "spool";
end

function check(self, phase, ac, vctx, msg, str)
  vctx:set(msys.core.VCTX_MESS, "smtpapi_campaign_id", self.kind or "none");
  return true;
end
