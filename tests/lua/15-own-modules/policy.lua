-- A policy in several files: the main one runs a list of sub-modules.
require("msys.core")
local parts = { require("parts.tags"), require("parts.expiry") }
local main = {}
function main:validate_data_spool_each_rcpt(msg, ac, vctx)
  for _, part in ipairs(parts) do
    part.run(msg, vctx)
  end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("main", main)
