-- Recipients on a list in a database are left out of the mail; the hook is the undocumented one behind each recipient.
local db = require("msys.db")
local ds = require("msys.datasource");
local core = require 'msys.core'
require("msys.extended.message");

local mod = {}

local function suppressed(address)
  local rowset, err = msys.db.query("preferencesdb", [[
    SELECT BULK FROM BLACKLIST WHERE
    ADDRESS = ? LIMIT 1]], { address }, {});
  if rowset != nil then
    for row in rowset do
      if row.BULK == 1 then
        print("suppressed:", address, row.BULK);
        return true
      end
    end
  else
    print("error querying the list:", err);
  end
  return false
end

function mod:core_post_msg_each_rcpt(msg, ac, vctx)
  if suppressed(string.lower(msg:rcptto())) then
    msg:discard(string.format("554 5.7.1 recipient address was suppressed"));
  end
end

msys.registerModule('suppression_lists', mod)
