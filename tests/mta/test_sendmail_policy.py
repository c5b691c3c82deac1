"""A policy that changes sender, recipient and body, through a real Sendmail: in place and over its hop."""

from pathlib import Path

import pytest

from mta.sendmail_site import READDRESS, running
from mta.site_parts import html_mail

pytestmark = pytest.mark.mta

_POLICY = """
def validate_data_spool(msg, ac, vctx):
    msg.set_body(msg.body.replace(b"shop.example", b"new.example"))

def validate_data_spool_each_rcpt(msg, ac, vctx):
    msg.set_mailfrom("b-" + msg.recipient.replace("@", "=") + "@bounces.test")
    if msg.recipient.startswith("role@"):
        msg.set_rcptto("person@e.test")
    msg.set_body(msg.body.replace(b"<p>", b"<p>For " + msg.recipient.encode() + b": "))
"""


@pytest.mark.parametrize(
    ("mode", "named"),
    [
        ("", {"role@d.test": "person@e.test"}),
        (READDRESS, {"ann@d.test": "", "role@d.test": "person@e.test", "cy@f.test": ""}),
    ],
    ids=["in place", "over the hop"],
)
def test_each_copy_is_as_its_policy_left_it(tmp_path: Path, mode: str, named: dict[str, str]) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text(_POLICY)
    with running(tmp_path, mode, filter_more=f'policy {{ file = "{policy}" }}') as site:
        site.send(list(named), html_mail(), rcpt=("NOTIFY=NEVER",))
        for first, moved in named.items():
            recipient = moved or first
            got = site.sink.wait_for(recipient)
            assert got.recipients == (recipient,)
            assert got.sender == f"b-{first.replace('@', '=')}@bounces.test"
            click, pixel = site.filter.links(got.body)
            assert {click.identity.recipient, pixel.identity.recipient} == {recipient}
            assert click.link is not None
            assert click.link.target == b"https://new.example/a?b=1&c=2"
            assert b"For " + recipient.encode() in got.body
        site.idle()
        assert not site.sink.all_for("role@d.test")
        sent = {each.recipient: each.sender for each in site.filter.injections()}
        assert sent == {
            moved or first: f"b-{first.replace('@', '=')}@bounces.test" for first, moved in named.items()
        }
