"""The head of a log line, and what Postfix's and Sendmail's lines say (engagement.maillogs)."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engagement.maillogs import postfix, sendmail
from engagement.maillogs.facts import Attempt, Began, Expired, Gone, Line, Named, Status
from engagement.maillogs.lines import MAX_LINE, parsed
from engagement.maillogs.outcomes import facts

NOW = int(datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp() * 1000)
TAIL = b" mx postfix/qmgr[123]: 4XyZ12abcdz9s: removed"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def local(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (b"2026-11-29T10:00:02.123456+00:00", at("2026-11-29T10:00:02.123+00:00")),
        (b"2026-11-29T10:00:02+0100", at("2026-11-29T10:00:02+01:00")),
        (b"2026-11-29T10:00:02Z", at("2026-11-29T10:00:02+00:00")),
        (b"2026-11-29 10:00:02,500", local("2026-11-29T10:00:02.500")),
        (b"<22>Nov 29 10:00:02", local("2026-11-29T10:00:02")),
        (b"Nov  9 10:00:02", local("2026-11-09T10:00:02")),
        (b"Nov 29 10:00:02.250", local("2026-11-29T10:00:02.250")),
        (b"Nov 29 2024 10:00:02", local("2024-11-29T10:00:02")),
        (b"Dec 31 23:59:59", local("2025-12-31T23:59:59")),  # of last year
        (b"Nov 30 10:00:00", local("2026-11-30T10:00:00")),  # of a clock that is ahead
        (b"Feb 29 10:00:00", local("2024-02-29T10:00:00")),
        # Octets that a crash left in the file before the line.
        (b"\0" * 70_000 + b"2026-11-29T10:00:02Z", at("2026-11-29T10:00:02+00:00")),
        # FreeBSD's syslogd -v.
        (b"Nov 29 10:00:02 <mail.info>", local("2026-11-29T10:00:02")),
    ],
)
def test_stamps_of_every_form_are_read(stamp: bytes, expected: int) -> None:
    assert parsed(stamp + TAIL + b"\r\n", NOW) == Line(
        expected, "postfix/qmgr", "4XyZ12abcdz9s: removed", "123"
    )


@pytest.mark.parametrize("data", [b"-", b'[a@1 b="c \\] \\" d"]', b'[a@1][meta sequenceId="1"]'])
@pytest.mark.parametrize("start", [b"<22>1 ", b""])  # with and without what rsyslog keeps of the wire
def test_lines_of_rfc_5424_are_read(start: bytes, data: bytes) -> None:
    stamp = b"2026-11-29T10:00:02.5+01:00"
    for mark in (b"", b"\xef\xbb\xbf"):
        head = start + stamp + b" mx.example postfix/smtp 123 - " + data + b" " + mark
        assert parsed(head + b"4XyZ12abcdz9s: to=<a@x>: [b]\n", NOW) == Line(
            at("2026-11-29T10:00:02.5+01:00"), "postfix/smtp", "4XyZ12abcdz9s: to=<a@x>: [b]", "123"
        )


def test_solaris_puts_the_number_of_its_text_before_it() -> None:
    line = parsed(b"Nov 29 10:00:02 mx sendmail[9]: [ID 801593 mail.info] 5AT9vXkl001234: to=<a@x>", NOW)
    assert line is not None
    assert line.text == "5AT9vXkl001234: to=<a@x>"


def test_the_turn_of_the_year_is_seen_from_the_new_one() -> None:
    now = int(datetime(2027, 1, 1, 0, 5, tzinfo=UTC).timestamp() * 1000)
    line = parsed(b"Dec 31 23:30:00" + TAIL, now)
    assert line is not None
    assert line.at_ms == local("2026-12-31T23:30:00")


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("stamp", [b"Oct 25 02:30:00", b"2026-10-25 02:30:00"])
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-25T00:30:01+00:00", "2026-10-25T00:30:00+00:00"),  # as it is written the first time
        ("2026-10-25T01:30:01+00:00", "2026-10-25T01:30:00+00:00"),  # and the second
        ("2026-10-26T00:00:00+00:00", "2026-10-25T01:30:00+00:00"),
    ],
)
def test_of_an_hour_that_a_clock_shows_twice_the_newest_counts_that_is_not_ahead(
    stamp: bytes, now: str, expected: str
) -> None:
    """A delivery an hour before its injection would be of no message that is known."""
    line = parsed(stamp + TAIL, at(now))
    assert line is not None
    assert line.at_ms == at(expected)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        (b"Oct 25 01:59:59", "2026-10-24T23:59:59+00:00"),
        (b"Oct 25 03:00:00", "2026-10-25T02:00:00+00:00"),
        (b"Mar 29 01:59:59", "2026-03-29T00:59:59+00:00"),
        (b"Mar 29 03:00:00", "2026-03-29T01:00:00+00:00"),
    ],
)
def test_hours_around_a_change_of_the_clock_are_as_they_are(stamp: bytes, expected: str) -> None:
    line = parsed(stamp + TAIL, at("2026-11-01T00:00:00+00:00"))
    assert line is not None
    assert line.at_ms == at(expected)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no log line",
        b"Nov 29 10:00:02 mx no program",
        b"2026-13-41T10:00:02Z" + TAIL,
        b"Nov 31 10:00:02" + TAIL,
        b"9999-12-31T23:59:59Z",
        b"Foo 29 10:00:02" + TAIL,
    ],
)
def test_what_has_no_head_is_no_line(line: bytes) -> None:
    assert parsed(line, NOW) is None


SENT = (
    "4XyZ12abcdz9s: to=<ida@example.net>, relay=mx.example.net[203.0.113.9]:25, delay=1.2, "
    "delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9ABC)"
)


def attempt(text: str, program: str = "postfix/smtp") -> Attempt:
    found = postfix.fact(program, text)
    assert isinstance(found, Attempt), text
    return found


@pytest.mark.parametrize(
    "program", ["postfix/smtp", "postfix-out/smtp", "postfix/split/smtp", "mx-2/relay/smtp"]
)
def test_a_delivery_is_read_under_any_syslog_name(program: str) -> None:
    assert attempt(SENT, program) == Attempt(
        "4XyZ12abcdz9s", "ida@example.net", "", Status.SENT, "250 2.0.0 Ok: queued as 9ABC", "2.0.0",
        "1.2 0.1/0/0.5/0.6", 1200, "mx.example.net", "203.0.113.9", 25, "esmtp", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 3.4: short queue ids; conn_use; IPv6; alias expansion
        (
            "3F1C0A2B9C: to=<a@x.example>, orig_to=<list@y.example>, relay=mx[2001:db8::1]:25, conn_use=2, "
            "delay=0.5, delays=0/0/0/0, dsn=5.1.1, status=bounced (host mx[2001:db8::1] said: 550 5.1.1 no)",
            ("a@x.example", "list@y.example", Status.BOUNCED, "2001:db8::1", "5.1.1"),
        ),
        (
            "4XyZ12abcdz9s: to=<a@x.example>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, "
            "status=deferred (connect to mx.x.example[203.0.113.9]:25: Connection timed out)",
            ("a@x.example", "", Status.DEFERRED, "", "4.4.1"),
        ),
        (
            "4XyZ12abcdz9s: to=<a@x.example>, relay=none, delay=0.1, delays=0/0/0/0, dsn=5.0.0, "
            "status=SOFTBOUNCE (unknown user)",
            ("a@x.example", "", Status.DEFERRED, "", "5.0.0"),
        ),
        (
            '4XyZ12abcdz9s: to=<"a>, relay=evil, status=sent ("@x.example>, relay=local, delay=1, '
            "delays=0/0/0/0, dsn=5.2.2, status=bounced (mailbox full (see (2)))",
            ('"a>, relay=evil, status=sent ("@x.example', "", Status.BOUNCED, "", "5.2.2"),
        ),
        (
            '4XyZ12abcdz9s: to=<a"b@x.example>, relay=local, delay=1, dsn=2.0.0, status=sent (ok)',
            ('a"b@x.example', "", Status.SENT, "", "2.0.0"),
        ),
        (
            "4XyZ12abcdz9s: to=<bob>, relay=h.example[/run/dovecot/lmtp], delay=1, dsn=2.0.0, "
            "status=sent (250 2.0.0 <bob> Saved)",
            ("bob", "", Status.SENT, "/run/dovecot/lmtp", "2.0.0"),
        ),
    ],
)
def test_forms_of_deliveries(text: str, expected: tuple[str, str, Status, str, str]) -> None:
    found = attempt(text)
    assert (found.recipient, found.original, found.status, found.address, found.enhanced) == expected


def test_mail_that_is_discarded_is_no_delivery() -> None:
    text = "4XyZ12abcdz9s: to=<a@x.example>, relay=none, delay=1, dsn=2.0.0, status=sent (x.example)"
    assert attempt(text, "postfix/discard").status == Status.DISCARDED


@pytest.mark.parametrize(
    ("program", "text", "expected"),
    [
        ("postfix/cleanup", "4XyZ12abcdz9s: message-id=<1@x>", Named("4XyZ12abcdz9s", "<1@x>")),
        ("postfix/cleanup", "4XyZ12abcdz9s: message-id=<a b@x> (c)", Named("4XyZ12abcdz9s", "<a b@x> (c)")),
        ("postfix/cleanup", "4XyZ12abcdz9s: message-id=<>", Named("4XyZ12abcdz9s", "")),  # the mail has none
        ("postfix/cleanup", "4XyZ12abcdz9s: message-id=", None),
        ("postfix/qmgr", "4XyZ12abcdz9s: removed", Gone("4XyZ12abcdz9s")),
        ("postfix/postsuper", "4XyZ12abcdz9s: removed", Gone("4XyZ12abcdz9s")),
        ("postfix/smtpd", "4XyZ12abcdz9s: client=localhost[127.0.0.1]", Began("4XyZ12abcdz9s", "")),
        ("postfix/pickup", "4XyZ12abcdz9s: uid=0 from=<root>", Began("4XyZ12abcdz9s", "")),
        (
            "postfix/hop/smtpd",
            "4XyZ12abcdz9s: client=unknown[127.0.0.1], orig_queue_id=428BA60EBD6, orig_client=x[::1]",
            Began("4XyZ12abcdz9s", "428BA60EBD6"),
        ),
        (
            "postfix/qmgr",
            "4XyZ12abcdz9s: from=<a@x>, status=expired, returned to sender",
            Expired("4XyZ12abcdz9s"),
        ),
        (
            "postfix/qmgr",
            "4XyZ12abcdz9s: from=<>, status=force-expired, returned to sender",
            Expired("4XyZ12abcdz9s"),
        ),
    ],
)
def test_other_lines_of_postfix(program: str, text: str, expected: object) -> None:
    assert postfix.fact(program, text) == expected


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("postfix/smtp", "connect to x.example[203.0.113.9]:25: Connection refused"),
        ("postfix/smtpd", "NOQUEUE: reject: RCPT from x: 550 5.1.1 <a@x>; to=<a@x>, status=sent (x)"),
        ("postfix/smtp", "4XyZ12abcdz9s: to=<a@x>, relay=none, delay=1, dsn=2.0.0, status=deliverable (x)"),
        ("postfix/smtp", "4XyZ12abcdz9s: to=<a@x>, relay=none, delay=1, dsn=5.0.0, status=undeliverable (x)"),
        ("postfix/cleanup", "4XyZ12abcdz9s: to=<a@x>, relay=none, dsn=2.0.0, status=sent (x)"),
        ("postfix/qmgr", '4XyZ12abcdz9s: from=<"x>, status=expired, returned to sender"@x>, size=1, nrcpt=1'),
        ("dovecot/smtp", "no queue id: to=<a@x>"),
        ("smtp", SENT),
    ],
)
def test_lines_that_say_nothing_about_a_delivery(program: str, text: str) -> None:
    assert postfix.fact(program, text) is None


@pytest.mark.parametrize(
    ("reply", "queue_id"),
    [
        ("250 2.0.0 Ok: queued as 4XyZ12abcdz9s", "4XyZ12abcdz9s"),
        ("250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 3F1C0A2B9C", "3F1C0A2B9C"),
        ("250 2.0.0 4ATBIpZ3012345 Message accepted for delivery", "4ATBIpZ3012345"),
        ("250 2.0.0 <bob@x> KZ1bM Saved", ""),
        ("delivered to maildir", ""),
    ],
)
def test_the_next_queue_id_is_in_the_reply(reply: str, queue_id: str) -> None:
    assert postfix.queued_as(reply) == queue_id


SENDMAIL = "5AT9vXkl001234: to={}, {}delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=60512, {}"


@pytest.mark.parametrize(
    ("text", "status", "enhanced"),
    [
        (
            "relay=mx.x.example. [203.0.113.7], dsn=2.0.0, stat=Sent (ok queued as 12345)",
            Status.SENT,
            "2.0.0",
        ),
        ("dsn=2.0.0, stat=Sent", Status.SENT, "2.0.0"),
        (
            "relay=mx.x.example., dsn=4.0.0, stat=Deferred: Connection refused by mx.x.example.",
            Status.DEFERRED,
            "4.0.0",
        ),
        ("relay=x. [203.0.113.7], dsn=5.1.1, stat=User unknown", Status.BOUNCED, "5.1.1"),
        ("relay=x, dsn=5.1.2, stat=Host unknown (Name server: x: host not found)", Status.BOUNCED, "5.1.2"),
        ("stat=User unknown", Status.BOUNCED, ""),
        ("dsn=4.4.7, stat=Cannot send message for 5 days", Status.EXPIRED, "4.4.7"),
        (
            "relay=x. [203.0.113.7], dsn=4.7.1, reply=450 4.7.1 slow, stat=Please wait",
            Status.DEFERRED,
            "4.7.1",
        ),
    ],
)
def test_forms_of_sendmail(text: str, status: Status, enhanced: str) -> None:
    for ctladdr in ("", "ctladdr=<b@example.org> (1000/1000), "):
        found = sendmail.facts(SENDMAIL.format('<a@x.example>,<"c,d"@x.example>,bob', ctladdr, text))
        assert [each.recipient for each in found if isinstance(each, Attempt)] == [
            "a@x.example",
            '"c,d"@x.example',
            "bob",
        ]
        assert {
            (each.status, each.enhanced, each.queue_time) for each in found if isinstance(each, Attempt)
        } == {(status, enhanced, 2000)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "5AT9vXkl001234: from=<b@example.org>, size=512, class=0, nrcpts=2, msgid=<2@example.org>, "
            "proto=ESMTP, daemon=MTA, relay=localhost [127.0.0.1]",
            (Named("5AT9vXkl001234", "<2@example.org>", 2),),
        ),
        (
            "5AT9vXkl001234: 5AT9vXkm001234: DSN: Cannot send message for 5 days",
            (Expired("5AT9vXkl001234"),),
        ),
        ("5AT9vXkl001234: 5AT9vXkm001234: DSN: User unknown", ()),
        (SENDMAIL.format("<a@x>", "", "stat=queued"), ()),
        ("5AT9vXkl001234: Milter: to=<a@x>, reject=550 5.7.1 no", ()),
        ("STARTTLS=client, relay=x., version=TLSv1.3", ()),
    ],
)
def test_other_lines_of_sendmail(text: str, expected: tuple[object, ...]) -> None:
    assert sendmail.facts(text) == expected


def test_sendmail_counts_days() -> None:
    text = SENDMAIL.format("<a@x>", "", "stat=Sent").replace("delay=00:00:02", "delay=2+01:00:03")
    (found,) = sendmail.facts(text)
    assert isinstance(found, Attempt)
    assert found.queue_time == ((2 * 24 + 1) * 3600 + 3) * 1000


TERMS = st.sampled_from(
    [
        *(
            "to=<",
            "orig_to=<",
            ">, ",
            "relay=",
            "status=",
            "sent (",
            ")",
            '"',
            "\\",
            ",",
            "<",
            ">",
            "@",
            "[",
            "]",
        ),
        *("4XyZ12abcdz9s: ", "5AT9vXkl001234: ", "from=", "delay=", "dsn=5.1.1, ", "stat=", "Deferred", "\0"),
        *("Nov 29 10:00:02 mx ", "postfix/smtp[1]: ", "sm-mta[1]: ", "queued as ", "9" * 30, "ü", "\udcff"),
    ]
)
TEXTS = st.lists(TERMS | st.text(max_size=20), max_size=30).map("".join)


@given(data=st.binary(max_size=300) | TEXTS.map(lambda text: text.encode("utf-8", "replace")))
@example(data=b"Nov 29 10:00:02 mx postfix/smtp[1]: " + b"<" * 50)
def test_any_octets_are_a_line_or_none(data: bytes) -> None:
    line = parsed(data, NOW)
    if line is not None:
        facts(line)
    for program in ("postfix/smtp", "postfix/qmgr", "postfix/cleanup", "sm-mta"):
        facts(Line(0, program, data.decode("utf-8", "surrogateescape")))


@given(TEXTS)
def test_any_text_of_an_agent_is_a_fact_or_none(text: str) -> None:
    for line in (f"4XyZ12abcdz9s: to=<{text}", f"5AT9vXkl001234: to={text}", f"5AT9vXkl001234: from={text}"):
        facts(Line(0, "postfix/smtp", line))
        facts(Line(0, "sm-mta", line))


@pytest.mark.parametrize(
    "unit",
    [
        "<",
        '<"',
        '<"\\',
        ",<",
        "to=<",
        " status=",
        "queued as ",
        "a" * 29 + " ",
        "=, ",
        " (",
        "@",
        '"',
        "1.1.",
        "[",
    ],
)
def test_the_longest_line_of_one_word_takes_no_time(unit: str) -> None:
    text = (unit * MAX_LINE)[:MAX_LINE]
    began = time.process_time()
    for head in (
        "4XyZ12abcdz9s: to=<",
        "4XyZ12abcdz9s: to=<a@x>, relay=x, status=sent (",
        "",
        "5AT9vXkl001234: to=",
    ):
        parsed(f"Nov 29 10:00:02 mx postfix/smtp[1]: {head}{text}".encode(), NOW)
        for program in ("postfix/smtp", "postfix/smtpd", "postfix/cleanup", "sm-mta"):
            facts(Line(0, program, head + text))
    assert time.process_time() - began < 2
