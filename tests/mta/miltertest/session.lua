-- One conversation with the filter, as miltertest has it (tests/mta/foreign_clients.py).
--
-- Given with -D: socket; version, steps and actions, which the MTA offers; the client's address, or unspec, the port it
-- came in by, its login; recipients, fields (name: value) and body of its mail; expected, what to compare the new body or the
-- reply with; names, of fields to look for. What are several is one a line.
-- Says what the filter did, a word and a value on each line.

local function lines(text)
  return string.gmatch(text, "[^\n]+")
end

local function must(problem, what)
  if problem ~= nil then
    error(what .. ": " .. problem)
  end
end

local function report(word, value)
  print(word .. " " .. (string.gsub(tostring(value), "\n", "\\n")))
end

local function goes_on(conn, what)
  if mt.getreply(conn) ~= SMFIR_CONTINUE then
    report("ended", what)
  end
end

local conn = mt.connect("unix:" .. socket)
if conn == nil then
  error("no connection to " .. socket)
end
-- Its manual has these two the other way round: the steps come first.
must(mt.negotiate(conn, tonumber(version), tonumber(steps), tonumber(actions)), "negotiate")

must(mt.macro(conn, SMFIC_CONNECT, "j", "mail.example.test", "{daemon_name}", "mail.example.test",
  "{daemon_addr}", "127.0.0.1", "{daemon_port}", port), "macros of the connection")
must(mt.conninfo(conn, "client.example", address), "connection")
goes_on(conn, "connection")
must(mt.helo(conn, "client.example"), "helo")
goes_on(conn, "helo")

if login ~= "" then
  must(mt.macro(conn, SMFIC_MAIL, "{auth_authen}", login), "macros of the sender")
end
must(mt.mailfrom(conn, "<a@s.test>"), "sender")
goes_on(conn, "sender")
for recipient in lines(recipients) do
  must(mt.macro(conn, SMFIC_RCPT, "{rcpt_mailer}", "esmtp", "{rcpt_host}", "r.test.", "{rcpt_addr}", recipient),
    "macros of the recipient")
  must(mt.rcptto(conn, "<" .. recipient .. ">"), "recipient")
  goes_on(conn, "recipient")
end
for field in lines(fields) do
  local name, value = string.match(field, "^([^:]+): (.*)$") -- its blank goes with it where the filter wants it
  must(mt.header(conn, name, value), "field")
  goes_on(conn, "field " .. name)
end
if not mt.test_option(conn, SMFIP_NOEOH) then
  must(mt.eoh(conn), "end of header")
  goes_on(conn, "end of header")
end
must(mt.bodystring(conn, body), "body")
goes_on(conn, "body")
must(mt.macro(conn, string.byte("E"), "i", "4bXyZ"), "macros of the end")
must(mt.eom(conn), "end")

local verdicts = {
  [SMFIR_CONTINUE] = "accept", [SMFIR_ACCEPT] = "accept", [SMFIR_REJECT] = "reject", [SMFIR_TEMPFAIL] = "tempfail",
  [SMFIR_DISCARD] = "discard", [SMFIR_REPLYCODE] = "reply",
}
report("verdict", verdicts[mt.getreply(conn)])
report("replied", mt.eom_check(conn, MT_SMTPREPLY, expected))
report("body", mt.eom_check(conn, MT_BODYCHANGE))
report("expected", mt.eom_check(conn, MT_BODYCHANGE, expected))
report("added", mt.eom_check(conn, MT_HDRADD))
report("inserted", mt.eom_check(conn, MT_HDRINSERT))
report("deleted", mt.eom_check(conn, MT_HDRDELETE))
for name in lines(names) do
  report("added-" .. name, mt.eom_check(conn, MT_HDRADD, name))
  report("deleted-" .. name, mt.eom_check(conn, MT_HDRDELETE, name))
  report("value-" .. name, mt.getheader(conn, name, 0))
end
for recipient in lines(recipients) do
  report("removed-" .. recipient, mt.eom_check(conn, MT_RCPTDELETE, "<" .. recipient .. ">"))
end
for _, action in ipairs({"ADDHDRS", "CHGBODY", "ADDRCPT", "DELRCPT", "CHGHDRS", "ADDRCPT_PAR"}) do
  report("takes-" .. action, mt.test_action(conn, _G["SMFIF_" .. action]))
end
mt.disconnect(conn)
