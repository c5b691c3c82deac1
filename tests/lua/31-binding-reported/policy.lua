-- Chooses by the domain of the recipient, where a header names a binding, the address that mail goes out by.
require("msys.core"); require("msys.extended.message"); require("msys.extended.message_routing");
local mod = {};

function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if msg:routing_domain() == "a.sink.test" then
    msg:routing_domain("127.0.0.1");
    msg:context_set(msys.core.ECMESS_CTX_MESS, "chosen", msg:header("X-Binding")[1]);
  end
  msg:header("X-Binding", "");
  return msys.core.VALIDATE_CONT;
end

function mod:validate_set_binding(msg)
  local exists, binding = msg:context_exists_and_get(msys.core.ECMESS_CTX_MESS, "chosen");
  if exists == 1 then
    msg:binding(binding);
  end
  return msys.core.VALIDATE_CONT;
end

msys.registerModule("binder", mod);
