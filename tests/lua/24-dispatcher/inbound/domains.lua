module("inbound.domains", package.seeall);
local known = {};
function active_for_phase(phase)
  return phase == "init" or phase == "mailfrom";
end

function init()
  known["sender.test"] = "house";
end

function check(self, phase, ac, vctx, msg, str)
  local mailfrom = msg:mailfrom();
  if mailfrom ~= nil then
    local localpart, domain = string.match(mailfrom, "(.+)@(.+)");
    if domain ~= nil then
      if not known[domain] then
        return false, 554, "Invalid sending domain", true;
      end
      self.kind = known[domain];
    end
  end
  return true;
end
