"""Sessions of the milter protocol at once, while a Lua policy runs away in some of them."""

import threading
from pathlib import Path

from milter_client import MilterClient
from mta.mta_site import LISTENER, Filter

_MAIL = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
_POLICY = """
local mod = {}
function mod:validate_data(msg, ac, vctx)
  while msg:header("X-Loop")[1] do pcall(function() while true do end end) end
  vctx:set(msys.core.VCTX_MESS, "smtpapi_campaign_id", msg:header("X-Number")[1])
  return msys.core.VALIDATE_CONT
end
msys.registerModule("loop", mod)
"""


def test_a_runaway_policy_costs_its_own_mail_its_links_and_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "loop.lua").write_text(_POLICY)
    more = f'policy {{ file = "{tmp_path}/loop.lua" }}'
    got: dict[int, list[bytes]] = {}

    def session(site: Filter, number: int, head: bytes) -> None:
        client = MilterClient(site.socket)
        client.connect()
        bodies = []
        for mail in range(5 if not head else 1):
            number_field = b"X-Number: %d-%d\r\n" % (number, mail)
            answer = client.message(b"a@s.test", [b"b@r.test"], head + number_field + _MAIL)
            assert answer.verdict == "accept"
            bodies.append(answer.body)
        client.quit()
        got[number] = bodies

    with Filter(tmp_path / "f", LISTENER, more=more, workers=1) as site:
        threads = [
            threading.Thread(
                target=session, args=(site, number, b"X-Loop: 1\r\n" if number % 3 == 0 else b"")
            )
            for number in range(9)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(got) == list(range(9))
        for number, bodies in got.items():
            for mail, body in enumerate(bodies):
                if number % 3 == 0:
                    assert b"https://shop.example/" in body
                else:
                    assert {one.identity.campaign for one in site.links(body)} == {f"{number}-{mail}"}
        assert site.log_text().count("limit reached (validate_data)") == 3
        assert site.counts()["why-policy-failed"] == 3
        assert site.counts()["workers-started"] == 1
