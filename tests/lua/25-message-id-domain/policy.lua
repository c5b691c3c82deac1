-- Mail whose Message-ID comes from a certain host is accepted and dropped.
require("msys.core");
require("msys.extended.message");
require("msys.pcre");
require("msys.dumper");

local mod = {};
function mod:validate_data(msg, acc, vctx)
  local mid = msg:header('Message-ID');
  local header = (msys.dumper.Dumper(mid[1]));
  local parts = msys.pcre.split(header, "@");
  local host = string.sub(tostring(parts[2]), 1, 9);
  if (host == "junk.test") then
    msg:discard ("550 5.7.0 discarded");
  end;
  return msys.core.VALIDATE_DONE;
end;

msys.registerModule("data", mod);
