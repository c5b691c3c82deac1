-- Mail to the team goes to an archive too, and not to the one who left.
require("msys.core"); require("msys.extended.vctx");
local mod = {};
function mod:validate_rcptto_list(list, vctx)
  for i = 0, #list do
    if tostring(list[i]) == "gone@a.sink.test" then vctx:remove_recipient(list[i]); end
  end
  vctx:add_recipient("archive@b.sink.test");
  return msys.core.VALIDATE_CONT;
end
msys.registerModule("team", mod);
