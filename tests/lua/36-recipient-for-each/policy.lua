-- Mail to the addresses of a role goes to the person who has it.
require('msys.core');
require('msys.extended.message');
local people = { ["postmaster@a.sink.test"] = "ann@b.sink.test", ["abuse@a.sink.test"] = "ann@b.sink.test" };
local mod = {};
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  local person = people[msg:rcptto()];
  if person then
    msg:context_set(msys.core.ECMESS_CTX_MESS, "smtpapi_campaign_id", "to " .. msg:rcptto());
    print("now " .. msg:rcptto(person));
  end
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("each_rcpt_phase", mod);
