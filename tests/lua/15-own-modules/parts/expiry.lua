module("parts.expiry", package.seeall)
function run(msg, vctx)
  if msg:header("X-Short")[1] then vctx:set(msys.core.VCTX_MESS, "smtpapi_tracking_link_expiry", 3600 * 24) end
end
