-- Puts off what a client sends beyond its share of an hour.
require("msys.core"); require("msys.audit"); require("msys.audit_series"); require("msys.extended.ac");
local mod = {};
local MOST = 2;

function mod:init()
  msys.audit_series.define("messages", "cidr", 300, 12, { persist = true });
  return true;
end

function mod:validate_data(msg, ac, vctx)
  msys.audit_series.add("messages", { key = ac });
  local count = msys.audit_series.count("messages", { key = "/32", startv = 0, endv = 11 });
  print("sessions " .. ac:inbound_session_count("/24") .. ", connections " ..
        msys.audit.connections("300,6", { startv = 0, endv = 5 }) .. ", messages " .. count ..
        ", received " .. msys.audit.receptions("300,6", { startv = 0, endv = 1 }));
  if count > MOST then
    vctx:set_code(452, "4.7.1 Too many messages received this hour.");
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("limits", mod);
