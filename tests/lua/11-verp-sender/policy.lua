-- The sender is in VERP form, list-NUMBER-user=host@domain: the list's number becomes the campaign.
local core = require 'msys.core'
require("msys.extended.vctx")
local verp = {}
function verp:validate_mailfrom(str, ac, vctx)
  local address = string.match(tostring(str), "<(.-)>")
  if address != nil then
    local parts = {}
    for word in string.gmatch(address, "[^@]+") do parts[#parts + 1] = word end
    local list = string.match(parts[1] or "", "^bounce%-(%d+)%-")
    if list then vctx:set(core.VCTX_MESS, "smtpapi_campaign_id", "list " .. list) end
  end
  return core.VALIDATE_CONT
end
msys.registerModule("verp", verp)
