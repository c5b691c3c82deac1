"""Real mail through a real Postfix, judged by what is delivered."""

import itertools
import json
import smtplib
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engagement.links.model import CLICKS, OPENS, Kind
from mta.mta_site import Filter, Mta, open_folders, until
from mta.site_parts import HTML, html_mail
from private_mta.postfix import PrivatePostfix, Smtpd

pytestmark = pytest.mark.mta


def _kinds(mta: Mta, mail: bytes) -> tuple[bool, bool]:
    """Whether clicks, and opens, are tracked."""
    kinds = {opened.kind for opened in mta.filter.links(mail)}
    return bool(kinds & CLICKS), bool(kinds & OPENS)


def test_mail_is_tracked_per_recipient_and_otherwise_untouched(mta: Mta) -> None:
    sent = html_mail()
    mta.send("on", ["ann+x@rcpt.test"], sent)
    got = mta.delivered("ann+x@rcpt.test")
    opened = mta.filter.links(got)
    assert [one.kind for one in opened] == [Kind.CLICK, Kind.OPEN]
    assert opened[0].link is not None
    assert opened[0].link.target == b"https://shop.example/a?b=1&c=2"
    assert {one.identity.recipient for one in opened} == {"ann+x@rcpt.test"}
    body = got.partition(b"\r\n\r\n")[2]
    head, _, tail = HTML.partition(b"https://shop.example/a?b=1&amp;c=2")
    assert body.startswith(head)
    assert tail.partition(b"</body>")[0] in body
    for line in sent.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        assert line in got.split(b"\r\n")


def test_swaks_sends_a_trackedhtml_mail(mta: Mta, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(html_mail())
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(mta.ports["on"]), "--from", "a@sender.test",
         "--to", "swaks@rcpt.test", "--data", f"@{file}", "--suppress-data"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert _kinds(mta, mta.delivered("swaks@rcpt.test")) == (True, True)


def test_the_send_command_prints_the_servers_answer(mta: Mta, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(b"From nobody Thu Jan  1 00:00:00 1970\n" + html_mail().replace(b"\r\n", b"\n"))
    command = [str(Path(mta.filter._program[0])), "send", "--server", f"127.0.0.1:{mta.ports['on']}"]
    done = subprocess.run(
        [*command, "--to", "send@rcpt.test", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("250 2.0.0 Ok: queued as")
    assert _kinds(mta, mta.delivered("send@rcpt.test")) == (True, True)
    file.write_bytes(html_mail(X_MSYS_API="{"))
    done = subprocess.run(
        [*command, "--to", "send@rcpt.test", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("550 5.6.0 JSON parsing error in X-MSYS-API: ")


def test_a_wrong_header_is_refused_with_momentums_words(mta: Mta) -> None:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        mta.send("on", ["x@rcpt.test"], html_mail(X_MSYS_API='{"metadata": []}'))
    assert refused.value.smtp_code == 550
    assert refused.value.smtp_error == b"5.6.0 X-MSYS-API 'metadata' must be of type 'json object'"


def test_a_campaign_of_65_bytes_is_refused(mta: Mta) -> None:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        mta.send("on", ["x@rcpt.test"], html_mail(X_MSYS_API=json.dumps({"campaign_id": "c" * 65})))
    assert refused.value.smtp_error == b"5.6.0 smtpapi_campaign_id context is limited to 64 bytes"


def test_untrusted_mail_is_delivered_byte_for_byte_header_and_all(mta: Mta) -> None:
    sent = html_mail(X_MSYS_API='{"campaign_id": "x"}', X_Odd="\t two  spaces ")
    mta.send("untrusted", ["untrusted@rcpt.test"], sent)
    assert mta.delivered("untrusted@rcpt.test").endswith(sent)


def test_the_header_never_leaves_with_trusted_mail_tracked_or_not(mta: Mta) -> None:
    for port in ("on", "off"):
        header = '{"options": {}}\r\nx-msys-api: second\r\nX-Msys-Api:\r\n  third'
        mta.send(port, [f"gone-{port}@rcpt.test"], html_mail(X_MSYS_API=header))
        assert b"msys" not in mta.delivered(f"gone-{port}@rcpt.test").lower()


@pytest.mark.parametrize("policy", [False, True], ids=["no-policy", "policy"])
@pytest.mark.parametrize("header", [False, True], ids=["no-header", "header"])
@pytest.mark.parametrize("config", ["on", "off"])
def test_precedence_policy_then_header_then_configuration(
    mta: Mta, config: str, header: bool, policy: bool
) -> None:
    """Each source says the opposite of the one below it, so the result tells who won; clicks and opens."""
    expected = config == "on"
    fields: dict[str, Any] = {}
    if header:
        expected = not expected
        fields["X_MSYS_API"] = json.dumps(
            {"options": {"click_tracking": expected, "open_tracking": expected}}
        )
    if policy:
        expected = not expected
        word = "true" if expected else "0"
        fields["X_Test_Policy"] = f"smtpapi_click_tracking={word} smtpapi_open_tracking={word}"
    recipient = f"{config}-{header}-{policy}@rcpt.test".lower()
    mta.send(config, [recipient], html_mail(**fields))
    assert _kinds(mta, mta.delivered(recipient)) == (expected, expected)


@pytest.mark.parametrize(("clicks", "opens"), list(itertools.product([False, True], repeat=2)))
def test_each_switch_is_settled_by_itself(mta: Mta, clicks: bool, opens: bool) -> None:
    """Opens by policy, clicks by header, against a configuration of the opposite."""
    recipient = f"each-{clicks}-{opens}@rcpt.test".lower()
    fields: dict[str, Any] = {
        "X_MSYS_API": json.dumps({"options": {"click_tracking": clicks}}),
        "X_Test_Policy": f"smtpapi_open_tracking={str(opens).lower()}",
    }
    mta.send("off" if clicks else "on", [recipient], html_mail(**fields))
    assert _kinds(mta, mta.delivered(recipient)) == (clicks, opens)


def test_several_recipients_get_the_mail_untracked(mta: Mta) -> None:
    mta.send("on", ["one@rcpt.test", "two@rcpt.test"], html_mail())
    for name in ("one", "two"):
        assert _kinds(mta, mta.delivered(f"{name}@rcpt.test")) == (False, False)


def test_without_the_filter_mail_waits_at_the_client(mta: Mta) -> None:
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        mta.send("down", ["x@rcpt.test"], html_mail())
    assert refused.value.smtp_code == 451


def test_default_action_accept_lets_mail_pass_without_the_filter(mta: Mta) -> None:
    mta.send("accept-down", ["accepted@rcpt.test"], html_mail())
    assert _kinds(mta, mta.delivered("accepted@rcpt.test")) == (False, False)


def test_one_session_of_many_messages_and_a_reset_between(mta: Mta) -> None:
    with smtplib.SMTP("127.0.0.1", mta.ports["on"]) as smtp:
        for number in range(5):
            smtp.mail("a@sender.test")
            smtp.rcpt("nobody@rcpt.test")
            smtp.rset()
            smtp.sendmail("a@sender.test", [f"session-{number}@rcpt.test"], html_mail())
    for number in range(5):
        opened = mta.filter.links(mta.delivered(f"session-{number}@rcpt.test"))
        assert {one.identity.recipient for one in opened} == {f"session-{number}@rcpt.test"}


def test_sessions_side_by_side_never_mix(mta: Mta) -> None:
    def send(number: int) -> None:
        html = b"<a href=https://shop.example/%d>x</a>\r\n" % number * 20
        mta.send("on", [f"side-{number}@rcpt.test"], html_mail(html))

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(send, range(40)))
    for number in range(40):
        opened = mta.filter.links(mta.delivered(f"side-{number}@rcpt.test"))
        clicks = [one.link for one in opened if one.link is not None]
        assert {one.identity.recipient for one in opened} == {f"side-{number}@rcpt.test"}
        assert [link.target for link in clicks] == [b"https://shop.example/%d" % number] * 20


def test_a_large_mail_comes_through_whole(mta: Mta) -> None:
    filler = b"<p>" + b"long and dull " * 5 + b"</p>\r\n"
    html = HTML.replace(b"</body>", b"\r\n" + filler * 60_000 + b"</body>")
    mta.send("on", ["large@rcpt.test"], html_mail(html))
    got = mta.delivered("large@rcpt.test", 40)
    assert _kinds(mta, got) == (True, True)
    assert got.count(filler) == 60_000


def test_bare_line_feeds_dots_and_null_octets_survive(mta: Mta) -> None:
    html = b'<a href="https://shop.example/x">x</a>\r\n.\r\n..two\r\n\x00\xff\xfe\r\n.\r\nend\r\n'
    stuffed = b"\r\n".join(b"." + line if line[:1] == b"." else line for line in html.split(b"\r\n"))
    with socket.create_connection(("127.0.0.1", mta.ports["on"]), 20) as raw:
        stream = raw.makefile("rwb")
        stream.readline()
        for line in (b"HELO c.test", b"MAIL FROM:<a@sender.test>", b"RCPT TO:<bare@rcpt.test>", b"DATA"):
            stream.write(line + b"\r\n")
            stream.flush()
            assert stream.readline()[:1] in b"23"
        stream.write(html_mail(stuffed) + b".\r\n")
        stream.flush()
        assert stream.readline().startswith(b"250")
    got = mta.delivered("bare@rcpt.test")
    assert [one.link.target for one in mta.filter.links(got) if one.link] == [b"https://shop.example/x"]
    assert b"\r\n.\r\n..two\r\n\x00\xff\xfe\r\n.\r\nend" in got


def test_postfix_tells_no_variables_of_an_unknown_command_and_mail_goes_on(mta: Mta) -> None:
    """Postfix 3.7 gives a milter the command's name alone; the session is none the worse for it."""
    before = mta.filter.counts()["context-refused"]
    with smtplib.SMTP("127.0.0.1", mta.ports["context"]) as smtp:
        smtp.ehlo()
        assert smtp.docmd("XSETCONTEXT", "smtpapi_campaign_id=spring")[0] == 500
        smtp.sendmail("a@sender.test", ["context@rcpt.test"], html_mail())
    assert _kinds(mta, mta.delivered("context@rcpt.test")) == (True, True)
    assert mta.filter.counts()["context-refused"] == before + 1


def test_one_injection_event_is_recorded_for_a_trackedhtml_mail(mta: Mta) -> None:
    mta.send("on", ["event@rcpt.test"], html_mail(X_MSYS_API='{"campaign_id": "autumn", "tags": ["a", "b"]}'))
    opened = mta.filter.links(mta.delivered("event@rcpt.test"))
    events = [event for event in mta.filter.injections() if event.recipient == "event@rcpt.test"]
    assert [event.message_id for event in events] == [opened[0].identity.message_id]
    (event,) = events
    assert (event.campaign, event.tags, event.clicks, event.opens) == ("autumn", ("a", "b"), True, True)
    assert event.sender == "a@sender.test"
    assert event.queue_id in mta.postfix.log.read_text()


def test_the_manuals_example_tracks_clicks_and_not_opens(tmp_path: Path) -> None:
    """Momentum's manual, example 71.92, as printed, beside `smtpapi { }`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 8650))
    open_folders(tmp_path)
    listener = """
ESMTP_Listener {
        SMTP_Extensions = (XREMOTEIP XDUMPCONTEXT XCLIENT XSETCONTEXT)
        Listen "127.0.0.1:8650" {
        }
        Listen "[::1]:8650" {}
        open_tracking_enabled = "false"
        click_tracking_enabled = "true"
        tracking_domain = "track.example.test"
}
"""
    smtpd = Smtpd(8650, {"smtpd_milters": "unix:milter/milter.sock"})
    with (
        PrivatePostfix(tmp_path / "p", [smtpd], maildir=tmp_path / "maildir") as postfix,
        Filter(tmp_path / "f", listener, socket_path=postfix.milter_socket) as site,
    ):
        with smtplib.SMTP("127.0.0.1", 8650) as smtp:
            smtp.sendmail("a@sender.test", ["m@rcpt.test"], html_mail())
        until(lambda: list(postfix.delivered()), what="the delivery")
        opened = site.links(next(postfix.delivered()).read_bytes())
        assert [one.kind for one in opened] == [Kind.CLICK]
