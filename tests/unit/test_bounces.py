"""Bounce classes, what of a reason is kept, and mail that comes back (engagement.bounces)."""

import os
import re
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from engagement.bounces.classes import read as read_classes
from engagement.bounces.classes import shipped
from engagement.bounces.reasons import MAX_REASON, enhanced_code, reply_code, without_addresses
from engagement.bounces.returned import read
from engagement.events.model import MessageEvent, recipient_mark
from engagement.events.record import decode, encode
from engagement.spool.read import SpoolReader
from smtpapi.commands import main

NOW = 1_795_946_400_000
DATE = "Sun, 29 Nov 2026 09:00:00 +0000"
MARK = "0011223344556677889900aabbccddee 1 00112233445566778899aabbccddeeff"


@pytest.mark.parametrize(
    ("enhanced", "reply", "text", "expected"),
    [
        ("5.1.1", "550", "host said: 550 5.1.1 no", 10),
        ("5.1.1", "550", "550 5.1.1 listed at spamhaus", 10),  # the code first
        ("5.1.2", "", "Host unknown", 21),
        ("5.4.4", "", "unable to look up host", 21),
        ("5.1.10", "556", "domain does not accept mail (nullMX)", 21),
        ("5.1.10", "", "", 21),
        # Exchange Online's own use of codes, as its pages on 550 5.1.10, 5.4.1 and 5.4.310 tell it.
        ("5.1.10", "550", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", 10),
        ("5.4.1", "550", "550 5.4.1 Recipient address rejected: Access denied. [x.prod.outlook.com]", 10),
        ("5.4.310", "550", "550 5.4.310 DNS domain x.example does not exist", 21),
        # What is wrong with the sender says nothing of the recipient (RFC 3463 3.2).
        ("5.1.8", "550", "550 5.1.8 <a@x>: Sender address rejected: Domain not found", 50),
        ("5.1.7", "550", "550 5.1.7 Sender address rejected: User unknown", 50),
        ("", "554", "554 30 Sorry, your message cannot be delivered. This mailbox is disabled (554.30).", 10),
        ("4.2.2", "452", "over quota", 22),
        ("5.2.2", "552", "mailbox full", 22),
        ("5.3.4", "552", "message size exceeds", 23),
        ("4.4.1", "", "connect to x: Connection timed out", 24),
        ("5.7.26", "550", "unauthenticated", 50),
        ("5.7.1", "554", "<a@x>: Relay access denied", 54),
        ("5.7.1", "554", "Service unavailable; Client host blocked using zen.spamhaus.org", 51),
        ("5.7.1", "550", "message content rejected", 52),
        ("5.7.1", "550", "virus found", 53),
        ("5.7.1", "550", "because", 50),
        ("5.0.0", "550", "no such user", 10),
        ("", "550", "User unknown", 10),
        ("4.7.1", "450", "Greylisted, please wait", 70),
        ("4.3.0", "", "temporary failure", 70),
        ("", "451", "later", 70),
        ("5.0.0", "554", "no", 40),
        ("", "550", "no", 40),
        ("", "", "no", 1),
        ("", "", "", 1),
    ],
)
def test_classes_of_what_the_other_side_says(enhanced: str, reply: str, text: str, expected: int) -> None:
    assert shipped().of(enhanced, reply, text) == expected


def test_the_rules_are_data() -> None:
    rules = read_classes('version = "x"\n[names]\n7 = "Seven"\n[[rules]]\nclass = 7\nenhanced = ["x.9.*"]\n')
    assert (rules.version, rules.of("4.9.1", "", ""), rules.of("5.9", "", ""), rules.of("", "", "")) == (
        "x", 7, 1, 1,
    )  # fmt: skip
    for wrong in ("class = 8", 'class = 7\ntext = ["x"]'):
        with pytest.raises(ValueError, match="not a rule"):
            read_classes(f'version = "x"\n[names]\n7 = "Seven"\n[[rules]]\n{wrong}\n')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("550 5.1.1 <ida@example.net>: unknown", "550 5.1.1 <…>: unknown"),
        ("unknown: ida@example.net.", "unknown: <…>"),
        ('<"ida holm"@example.net> unknown', "<…> unknown"),
        ("<ida>: unknown", "<…>: unknown"),
        ("see https://x.example/?e=ida%40example.net&n=1 now", "see <…> now"),
        ("verp news+ida=40example.net here", "verp <…> here"),
        ("to=<a@x>,<b@y>", "to=<…>,<…>"),
        ("mailto:ida@example.net(Ida)", "<…>(Ida)"),
        ("Änderung für jürgen@müller.example fehlt", "Änderung für <…> fehlt"),
        ("ida\uff20example.net", "<…>"),
        ("host mx[203.0.113.9] said: 550 5.7.1 no", "host mx[203.0.113.9] said: 550 5.7.1 no"),
        ("line\x00one\u2028two", "line one two"),
        ("x" * 5000, "x" * MAX_REASON),
    ],
)
def test_a_reason_has_no_address(text: str, expected: str) -> None:
    assert without_addresses(text) == expected


@pytest.mark.parametrize(
    "sign",
    [
        *("@", "\uff20", "\ufe6b", "%40", "%2540", "=40", "=3D40", "\\x40", "\\u0040", "\\u{40}"),
        *("&#64;", "&#064;", "&#x40;", "&#X0040;", "&commat;", "&amp;#64;"),
    ],
)
@pytest.mark.parametrize(
    "local",
    ["ida", "Ida+Tag", "o'brien", '"ida h"', '"ida \\"the\\" holm"', "a|b", "{ida}", "ida%2Bx", "jürgen"],
)
@pytest.mark.parametrize("domain", ["example.net", "EXAMPLE.NET", "müller.example", "xn--mller-kva.example"])
def test_an_address_is_hidden_however_it_is_written(sign: str, local: str, domain: str) -> None:
    for around in ("{}", "<{}>", "550 <{}>: no", "to={},", "'{}'", "mailto:{}", "({})", "[{}]"):
        cleaned = without_addresses(around.format(local + sign + domain))
        for part in (*re.split(r"\W+", local), *domain.split(".")):
            assert part not in re.split(r"\W+", cleaned) or not part, cleaned


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('unknown user: "ida.holm"', 'unknown user: "<…>"'),
        ("user IDA.Holm+news unknown", "user <…> unknown"),
        ("No such user here: ida.holm.", "No such user here: <…>."),
        ("/var/mail/ida.holm: over quota", "/var/mail/<…>: over quota"),
        ("ida.holm2 is another, and so are x-ida.holm and ida.holm.jr", None),
    ],
)
def test_the_recipient_s_name_alone_is_hidden_too(text: str, expected: str | None) -> None:
    """As Postfix's local(8) writes it, and servers that say no more than what stands before the @."""
    for recipient in (
        "ida.holm@example.net",
        '"ida.holm"@example.net',
        "Ida.Holm+news@example.net",
        "ida.holm",
    ):
        assert without_addresses(text, recipient, "") == (expected or text)


@given(
    st.text(max_size=200), st.sampled_from(["ida@example.net", '"ida h"@example.net', "<ida@example.net>"])
)
def test_no_text_around_keeps_an_address(text: str, address: str) -> None:
    cleaned = without_addresses(f"{text} {address} {text}")
    assert "@" not in cleaned
    assert "example.net" not in cleaned


def test_a_long_reason_takes_no_time() -> None:
    began = time.process_time()
    for unit in ('"', "<", "@", '"@', "<@", "a", " ", "5.", "550"):
        without_addresses(unit * 200_000)
        reply_code(unit * 200_000)
        enhanced_code(unit * 200_000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "reply", "enhanced"),
    [
        ("host x[203.0.113.9] said: 550 5.1.1 no", "550", "5.1.1"),
        ("550-5.7.26 This mail", "550", "5.7.26"),
        ("connect to x[203.0.113.250]:25: refused", "", ""),
        ("user unknown (550 5.1.1 no)", "550", "5.1.1"),
        ("lost connection after 250 seconds", "", ""),
        ("", "", ""),
    ],
)
def test_codes_in_a_text(text: str, reply: str, enhanced: str) -> None:
    assert (reply_code(text), enhanced_code(text)) == (reply, enhanced)


def report(kind: str, fields: str, brought: str | None = "message", **head: str) -> bytes:
    """A mail that came back. brought: "message", "headers" or None for what it brings of the original."""
    original = (
        "From: news@example.org\nTo: To <ida@example.net>\n"
        f"Message-ID: <1@example.org>\nX-Smtpapi-Id: {MARK}\n"
    )
    parts = [
        "Content-Type: text/plain\n\nSorry.\n",
        f"Content-Type: message/{'delivery-status' if kind == 'delivery-status' else kind}\n\n{fields}\n",
    ]
    if brought == "message":
        parts.append(f"Content-Type: message/rfc822\n\n{original}\nHello.\n")
    elif brought == "headers":
        parts.append(f"Content-Type: text/rfc822-headers\n\n{original}\n")
    lines = {"From": "MAILER-DAEMON@mx.example.net", "To": "bounce@example.org", "Date": DATE} | head
    top = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in lines.items())
    body = "".join(f"--xx\n{part}\n" for part in parts)
    sort = f'multipart/report; report-type={kind}; boundary="xx"'
    return f"{top}MIME-Version: 1.0\nContent-Type: {sort}\n\n{body}--xx--\n".encode()


FAILED = """\
Final-Recipient: rfc822; ida@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.net
Diagnostic-Code: smtp; 550 5.1.1
 <ida@example.net>: User unknown
"""
DSN = f"Reporting-MTA: dns; mx.example.org\nArrival-Date: {DATE}\n\n{FAILED}"
ARF = "Feedback-Type: abuse\nUser-Agent: X/1\nVersion: 1\nOriginal-Rcpt-To: <ida@example.net>\n"


@pytest.mark.parametrize("brought", ["message", "headers"])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_bounce_names_message_recipient_and_reason(brought: str, ends: bytes) -> None:
    (event,) = read(report("delivery-status", DSN, brought).replace(b"\n", ends), NOW).events
    assert event == MessageEvent(
        event.id,
        NOW - 3_600_000,
        "out_of_band",
        "",
        "",
        recipient_mark("", "", "ida@example.net"),
        bytes.fromhex(MARK[:32]),
        "<1@example.org>",
        "550 5.1.1 <…>: User unknown",
        "550",
        "5.1.1",
        10,
        remote_host="mx.example.net",
    )
    assert decode(encode(event)) == event


def test_a_bounce_of_several_recipients_is_an_event_each() -> None:
    fields = f"{DSN}\n{FAILED.replace('ida@', 'bob@')}\n{FAILED.replace('failed', 'delayed')}"
    events = read(report("delivery-status", fields), NOW).events
    assert [event.recipient_mark for event in events] == [
        recipient_mark("", "", f"{name}@example.net") for name in ("ida", "bob")
    ]
    assert len({event.id for event in events}) == 2


def test_the_original_recipient_goes_before_the_final_one() -> None:
    fields = DSN.replace("Final-", "Original-Recipient: rfc822;alias@example.net\nFinal-")
    (event,) = read(report("delivery-status", fields), NOW).events
    assert event.recipient_mark == recipient_mark("", "", "alias@example.net")


@pytest.mark.parametrize("value", ["", "rfc822;", "rfc822; two words", "unknown;"])
def test_an_original_recipient_that_names_nobody_hides_not_the_final_one(value: str) -> None:
    fields = DSN.replace("Final-", f"Original-Recipient: {value}\nFinal-")
    (event,) = read(report("delivery-status", fields), NOW).events
    assert event.recipient_mark == recipient_mark("", "", "ida@example.net")


@pytest.mark.parametrize("depth", [1, 2])
def test_a_report_that_a_gateway_put_into_another_mail_is_read(depth: int) -> None:
    """As scanners do that add a part with their own word."""
    mail = report("delivery-status", DSN)
    for level in range(depth):
        inner = mail[mail.index(b"Content-Type: ") :]
        other = f"--{level}\nContent-Type: text/plain\n\nScanned.\n".encode()
        mail = (
            f'From: x\nDate: {DATE}\nContent-Type: multipart/mixed; boundary="{level}"\n\n'.encode()
            + other + f"--{level}\n".encode() + inner + f"\n--{level}--\n".encode()
        )  # fmt: skip
    (event,) = read(mail, NOW).events
    assert (event.type, event.message_id_header) == ("out_of_band", "<1@example.org>")
    assert event.at_ms == NOW - 3_600_000


def test_a_report_that_a_mail_brings_back_whole_is_not_its_own() -> None:
    inner = report("delivery-status", DSN)
    mail = b'Content-Type: multipart/mixed; boundary="m"\n\n--m\nContent-Type: message/rfc822\n\n'
    assert read(mail + inner + b"\n--m--\n", NOW).events == ()


def test_a_complaint_names_its_kind() -> None:
    (event,) = read(report("feedback-report", ARF, Date="no date"), NOW).events
    assert (event.type, event.fbtype, event.at_ms, event.message_id_header) == (
        "spam_complaint", "abuse", NOW, "<1@example.org>",
    )  # fmt: skip
    assert event.recipient_mark == recipient_mark("", "", "ida@example.net")


def test_a_complaint_of_several_recipients_is_an_event_each() -> None:
    """RFC 5965 3.3: Original-Rcpt-To may be there several times."""
    more = "".join(f"Original-Rcpt-To: {each}\n" for each in ("<bob@example.net>", "Ida@example.net", ""))
    mail = report("feedback-report", ARF + more)
    events = read(mail.replace(b"X-Smtpapi-Id", b"X-Other"), NOW).events
    assert [event.recipient_mark for event in events] == [
        recipient_mark("", "", f"{name}@example.net") for name in ("ida", "bob")
    ]
    assert len({event.id for event in events}) == 2
    (event,) = read(mail, NOW).events  # of one recipient's copy, whoever else is named
    assert event == read(report("feedback-report", ARF), NOW).events[0]


@pytest.mark.parametrize(
    "to", ["bounce+ida.h=example.net@example.org", "<bounce-ida.h=example.net@example.org>"]
)
def test_without_a_recipient_the_address_it_came_to_names_one(to: str) -> None:
    fields = ARF.replace("Original-Rcpt-To: <ida@example.net>\n", "")
    (event,) = read(report("feedback-report", fields, Delivered_To=to), NOW).events
    assert event.recipient_mark == recipient_mark("", "", "ida.h@example.net")


@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (b"Subject: hello\n\nHello.\n", "neither a bounce"),
        (b"", "neither a bounce"),
        (report("disposition-notification", "Disposition: x; displayed\n"), "another kind"),
        (report("delivery-status", DSN.replace("failed", "delayed")), "without a failure"),
        (report("delivery-status", DSN, None), "which message"),
        (report("feedback-report", ARF.replace("abuse", "not-spam")), "no spam"),
        (report("feedback-report", ARF.replace("abuse", "auth-failure")), "another kind"),
        (report("feedback-report", "Version: 1\n"), "without its type"),
    ],
)
def test_other_mail_is_left_alone(mail: bytes, why: str) -> None:
    found = read(mail, NOW)
    assert found.events == ()
    assert why in found.why


@given(st.binary(max_size=200), st.integers(0, 1400), st.integers(0, 200))
def test_any_octets_are_read_without_an_error(noise: bytes, place: int, cut: int) -> None:
    mail = report("delivery-status", DSN)
    for each in (noise, mail[:place] + noise + mail[place + cut :]):
        for event in read(each, NOW).events:
            assert decode(encode(event)) == event


def configuration(folder: Path, spool: Path) -> list[str]:
    file = folder / "smtpapi.conf"
    file.write_text(f'spool {{ directory = "{spool}" }}\n')
    return ["bounce", "--config", str(file)]


def spooled(spool: Path) -> list[str]:
    events = [decode(entry.record) for entry in SpoolReader(spool).read()]
    return [event.type for event in events if isinstance(event, MessageEvent)]


def test_the_command_takes_mail_from_a_pipe(tmp_path: Path) -> None:
    arguments = configuration(tmp_path, tmp_path / "spool")
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", DSN))
    assert (done.exit_code, done.output) == (0, "standard input: 1 event(s): out_of_band\n")
    assert spooled(tmp_path / "spool") == ["out_of_band"]


def test_the_command_leaves_other_mail_alone_and_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, configuration(tmp_path, tmp_path / "spool"), input=b"Subject: x\n\ny\n")
    assert done.exit_code == 0
    assert done.output.startswith("standard input: left alone: neither a bounce")


OWN = f"Reporting-MTA: dns; Mail.Example.ORG\nX-Postfix-Queue-ID: 4XyZ\n\n{FAILED}"


def test_what_the_mta_of_the_followed_log_reports_is_told_by_that_alone(tmp_path: Path) -> None:
    arguments = configuration(tmp_path, tmp_path / "spool")
    state = tmp_path / "follow.db"
    with (tmp_path / "smtpapi.conf").open("a") as file:
        file.write(f'follow {{ node_name = "mail.example.org" state = "{state}" }}\n')
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", OWN))
    assert done.output == "standard input: 1 event(s): out_of_band\n"  # nobody follows
    state.touch()
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", OWN))
    assert (done.exit_code, done.output) == (
        0, "standard input: left alone: a report of mail.example.org, whose log is followed and tells it\n",
    )  # fmt: skip
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", DSN))
    assert done.output == "standard input: 1 event(s): out_of_band\n"
    assert spooled(tmp_path / "spool") == ["out_of_band", "out_of_band"]


def test_a_log_that_was_followed_once_tells_nothing_any_more(tmp_path: Path) -> None:
    arguments = configuration(tmp_path, tmp_path / "spool")
    state = tmp_path / "follow.db"
    with (tmp_path / "smtpapi.conf").open("a") as file:
        file.write(f'follow {{ node_name = "mail.example.org" state = "{state}" }}\n')
    state.touch()
    long_ago = time.time() - 8 * 86_400
    os.utime(state, (long_ago, long_ago))
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", OWN))
    assert done.output == "standard input: 1 event(s): out_of_band\n"
    (tmp_path / "follow.db-wal").touch()  # where SQLite keeps what is new
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", OWN))
    assert "left alone" in done.output


def test_the_command_asks_for_another_try_where_the_spool_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = configuration(tmp_path, tmp_path / "file" / "spool")
    done = CliRunner().invoke(main, arguments, input=report("delivery-status", DSN))
    assert done.exit_code == 75
    done = CliRunner().invoke(main, ["bounce", "--config", str(tmp_path / "none")], input=b"")
    assert done.exit_code == 75


def test_the_command_empties_a_maildir(tmp_path: Path) -> None:
    for name in ("new", "tmp"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    (tmp_path / "mail/new/1").write_bytes(report("delivery-status", DSN))
    (tmp_path / "mail/new/2").write_bytes(EmailMessage().as_bytes())
    (tmp_path / "mail/new/3").write_bytes(report("feedback-report", ARF))
    arguments = [*configuration(tmp_path, tmp_path / "spool"), "--maildir", str(tmp_path / "mail")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "mail/cur").iterdir()) == ["1:2,S", "2:2,S", "3:2,S"]
    assert list((tmp_path / "mail/new").iterdir()) == []
    assert sorted(spooled(tmp_path / "spool")) == ["out_of_band", "spam_complaint"]
    assert CliRunner().invoke(main, arguments).output == ""


def test_a_maildir_that_is_none_is_told(tmp_path: Path) -> None:
    arguments = [*configuration(tmp_path, tmp_path / "spool"), "--maildir", str(tmp_path / "none")]
    assert CliRunner().invoke(main, arguments).exit_code == 75
