-- No policy of its own: modules of a list are asked in each phase, with a table of the session to keep things in.
require("msys.core");
require("msys.extended.vctx");
require("msys.extended.ac");

local policies = { "inbound.domains", "inbound.stamp" };
local loaded = {};
for k, v in ipairs(policies) do
  table.insert(loaded, require(v));
end;

local mod = {}

function mod:init()
  for k, v in ipairs(loaded) do
    if v.active_for_phase("init") then v.init(); end
  end
  return true;
end

local function call(self, phase, ac, vctx, msg, str)
  for k, v in ipairs(loaded) do
    if v.active_for_phase(phase) then
      local continue, code, text, disconnect = v.check(self, phase, ac, vctx, msg, str);
      if not continue then
        vctx:set_code(code, text);
        if disconnect then
          vctx.disconnect = 1;
        end
        return false;
      end
    end
  end
  return true;
end

function mod:validate_mailfrom(str, ac, vctx)
  local msg = msys.core.accept_construct_get_message_construct(ac).message;
  if not call(self, "mailfrom", ac, vctx, msg, str) then
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_data_spool(msg, ac, vctx)
  if not call(self, "spool", ac, vctx, msg, str) then
    return msys.core.VALIDATE_DONE;
  end
  return msys.core.VALIDATE_CONT;
end

function mod:validate_dealloc()
  for k, v in pairs(self) do
    self[k] = nil;
  end
end

msys.registerModule("inbound_policy", mod);
