"""Mail that passes the filter twice, through real list servers and MTAs (rows H7 and H22)."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.hop_site import HopSite
from mta.hop_site import running as with_postfix
from mta.mta_site import until
from mta.sendmail_site import READDRESS, Site
from mta.sendmail_site import running as with_sendmail
from mta.site_parts import html_mail

pytestmark = pytest.mark.mta

_TEAM = "team@lists.sink.test"
_MEMBERS = ("m1@a.sink.test", "m2@b.sink.test")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HopSite]:
    with with_postfix(tmp_path_factory.mktemp("again")) as one:
        yield one


@pytest.fixture(scope="module")
def sendmail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with with_sendmail(tmp_path_factory.mktemp("again"), READDRESS) as one:
        yield one


def _list_of(folder: Path, port: int) -> Path:
    """A mailing list of mlmmj's that sends by this port, with a tag, and without the sender's labels."""
    made = folder / "team"
    for name in (
        "control",
        "incoming",
        "queue/discarded",
        "archive",
        "text",
        "subconf",
        "unsubconf",
        "bounce",
    ):
        (made / name).mkdir(parents=True)
    for name in ("moderation", "subscribers.d", "digesters.d", "nomailsubs.d", "requeue"):
        (made / name).mkdir()
    settings = {
        "listaddress": _TEAM,
        "owner": "owner@lists.sink.test",
        "relayhost": "127.0.0.1",
        "smtpport": str(port),
        "prefix": "[team]",
        "delheaders": "Message-ID:\nDate:",
        "customheaders": "List-Id: <team.lists.sink.test>\nReply-To: team@lists.sink.test",
    }
    for name, value in settings.items():
        (made / "control" / name).write_text(f"{value}\n")
    for address in _MEMBERS:
        with (made / "subscribers.d" / address[0]).open("a") as file:
            file.write(f"{address}\n")
    (made / "index").write_text("0\n")
    return made


def test_h22_members_of_a_real_list_get_one_pixel_and_no_second_record(site: HopSite, tmp_path: Path) -> None:
    """mlmmj takes Message-ID and Date out, tags the subject, sends from a bounce address to each member."""
    fields = {"To": _TEAM}
    sent = html_mail(X_Test="list").replace(b"To: someone@rcpt.test", f"To: {fields['To']}".encode())
    site.send([_TEAM], sent)
    there = site.copies([_TEAM])[_TEAM]
    records = {record.id for record in site.filter.injections()}
    subprocess.run(
        ["/usr/bin/mlmmj-receive", "-L", str(_list_of(tmp_path, site.ports["in"])), "-F"],
        input=b"Return-Path: <a@sender.test>\n" + there.message.replace(b"\r\n", b"\n"),  # as a pipe gets it
        check=True, timeout=30,
    )  # fmt: skip
    for member in _MEMBERS:
        got = site.sink.wait_for(member)
        site.idle()
        assert got.sender.startswith("team+bounces")
        assert got.field("Subject") == "[team] Hello"
        assert got.field("Message-ID") != there.field("Message-ID")
        assert got.field("X-Smtpapi-Id") == there.field("X-Smtpapi-Id")
        assert got.body.rstrip() == there.body.rstrip()
        assert site.owner(got.body) == _TEAM  # one link and one pixel, the list's
    assert {record.id for record in site.filter.injections()} == records


_COPIES = {"cc": ["cc@a.sink.test"], "bcc": ["bcc@a.sink.test"], "archive": ["arc@a.sink.test"]}
_ALL = ["again@a.sink.test", "cc@a.sink.test", "bcc@a.sink.test", "arc@a.sink.test"]


def _asking(tracked: bytes) -> bytes:
    return f"X-MSYS-API: {json.dumps(_COPIES)}\r\n".encode() + tracked


def test_h7_postfix_gets_the_copies_of_mail_that_was_tracked_before(site: HopSite) -> None:
    site.send(["again@a.sink.test"], html_mail(X_Test="copies"))
    tracked = site.copies(["again@a.sink.test"])["again@a.sink.test"]
    site.sink.got.clear()
    site.send(["again@a.sink.test"], _asking(tracked.message))
    got = site.copies(_ALL)
    for who, copy in got.items():
        assert copy.body == tracked.body
        assert copy.field("Cc") == "cc@a.sink.test"
        assert copy.field("Bcc") == ("bcc@a.sink.test" if who.startswith("bcc") else "")
        assert b"msys" not in copy.head.lower()


def test_h7_sendmail_gets_the_copies_of_mail_that_was_tracked_before(sendmail: Site) -> None:
    sendmail.send(["again@a.sink.test"], html_mail())
    tracked = sendmail.sink.wait_for("again@a.sink.test")
    assert len(sendmail.filter.links(tracked.body)) == 2
    sendmail.idle()
    sendmail.sink.got.clear()
    sendmail.send(["again@a.sink.test"], _asking(tracked.message))
    until(lambda: {who for each in sendmail.sink.got for who in each.recipients} == set(_ALL), what="copies")
    sendmail.idle()
    assert [each.body for each in sendmail.sink.got] == [tracked.body] * len(_ALL)
