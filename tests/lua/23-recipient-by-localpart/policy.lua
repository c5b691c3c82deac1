-- Mail to a certain local part goes to somebody else too. The message comes out of the connection, as older scripts have it.
require("msys.core");require("msys.dumper");
require("msys.extended.message");
require("msys.extended.vctx");
local mod = {};
function mod:validate_data(str, accept, vctx)
  local user = msys.core.string_new();
  local domain = msys.core.string_new();
  local mc = msys.core.accept_construct_get_message_construct(accept);
  local msg = mc.message;
  msg:get_envelope2(msys.core.EC_MSG_ENV_TO, user, domain);
  print ("domain: ", domain.buffer);
  if (tostring(user) == "bounce") then
    vctx:add_recipient("review@b.sink.test");
  end    local addrs = vctx:recipient_list();
  print ("recipients: ", msys.dumper.Dumper(addrs));
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("validate_data", mod);
