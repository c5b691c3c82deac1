"""From lines to events: which message, which recipient, how many tries (engagement.maillogs.outcomes)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.events.ids import is_event_id
from engagement.events.model import MessageEvent, recipient_mark
from engagement.events.record import decode, encode
from engagement.maillogs.facts import Line
from engagement.maillogs.lines import parsed
from engagement.maillogs.memory import MemoryFileError, QueueMemory
from engagement.maillogs.outcomes import Outcomes

LOCAL = "postfix/local"
NODE = "mail.example.org"
AT = 1_795_946_400_000


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[QueueMemory]:
    made = QueueMemory(tmp_path / "lib" / "follow.db")
    yield made
    made.close()


@pytest.fixture
def outcomes(memory: QueueMemory) -> Outcomes:
    return Outcomes(NODE, memory, frozenset({"filter.example.org", ":10026"}))


def events_of(outcomes: Outcomes, *lines: str, program: str = "postfix/smtp") -> list[MessageEvent]:
    """The events of some lines, a second apart."""
    found: list[MessageEvent] = []
    for number, text in enumerate(lines):
        agent = program
        if " removed" in text or "expired" in text or "nrcpt" in text:
            agent = "postfix/qmgr"
        elif " message-id=" in text:
            agent = "postfix/cleanup"
        elif " client=" in text:
            agent = "postfix/smtpd"
        found += outcomes.of(Line(AT + 1000 * number, agent if "/" in program else program, text))
    for event in found:
        assert is_event_id(event.id)
        assert decode(encode(event)) == event
    return found


def test_two_tries_within_the_tenth_of_a_second_that_the_log_tells_are_two(outcomes: Outcomes) -> None:
    """As after `postfix reload`: another process, and `delay` grew by less than it is written with."""
    text = failed("4XyZ12abcdz9s", "you@example.net")
    lines = [Line(AT, "postfix/smtp", text, pid) for pid in ("5253", "5277", "5277")]
    assert len({event.id for line in lines for event in outcomes.of(line)}) == 2


def sent(queue_id: str, to: str, reply: str = "250 ok", relay: str = "mx.example.net[203.0.113.9]:25") -> str:
    return (
        f"{queue_id}: to=<{to}>, relay={relay}, delay=1.2, delays=0/0/0/1, dsn=2.0.0, status=sent ({reply})"
    )


def failed(
    queue_id: str, to: str, status: str = "deferred", reason: str = "host x said: 450 4.2.1 slow"
) -> str:
    return (
        f"{queue_id}: to=<{to}>, relay=mx.example.net[203.0.113.9]:25, delay=3, delays=0/0/0/1, dsn=4.2.1, "
        f"status={status} ({reason})"
    )


def test_each_recipient_of_a_message_has_an_outcome(outcomes: Outcomes) -> None:
    events = events_of(
        outcomes,
        "AAAA1: client=x[192.0.2.1]",
        "AAAA1: message-id=<1@example.org>",
        sent("AAAA1", "a@x.example"),
        failed("AAAA1", "b@x.example"),
        failed(
            "AAAA1",
            "c@x.example",
            "bounced",
            "host x[203.0.113.9] said: 550 5.1.1 <c@x.example>: unknown user c",
        ),
        failed("AAAA1", "b@x.example"),
        sent("AAAA1", "b@x.example"),
        "AAAA1: removed",
    )
    assert [(each.type, each.num_retries) for each in events] == [
        ("delivery", 0), ("delay", 0), ("bounce", 0), ("delay", 1), ("delivery", 2),
    ]  # fmt: skip
    assert [each.recipient_mark for each in events] == [
        recipient_mark(NODE, "AAAA1", f"{name}@x.example") for name in "abcbb"
    ]
    assert {each.message_id_header for each in events} == {"<1@example.org>"}
    assert len({each.id for each in events}) == 5
    bounce = events[2]
    assert (bounce.error_code, bounce.bounce_class, bounce.remote_host) == ("550", 10, "mx.example.net")
    assert bounce.raw_reason == "host x[203.0.113.9] said: 550 5.1.1 <…>: unknown user <…>"
    assert (bounce.queue_time, bounce.remote_address, bounce.delv_method) == (3000, "203.0.113.9", "esmtp")


def test_no_address_is_in_an_event_nor_in_the_state(
    outcomes: Outcomes, memory: QueueMemory, tmp_path: Path
) -> None:
    reason = "host said: 550 5.1.1 <secret@x.example> secret@x.example see https://x/?e=secret%40x.example"
    events = events_of(
        outcomes,
        "AAAA1: message-id=<1@example.org>",
        failed("AAAA1", "secret@x.example", "bounced", reason),
        failed("AAAA1", "secret@x.example", reason=reason),
    )
    memory.commit("log", {"offset": 1}, AT / 1000)
    memory.close()
    assert b"secret" not in b"".join(map(encode, events))
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "lib").iterdir())


def test_an_expiry_is_of_those_who_still_waited(outcomes: Outcomes) -> None:
    events = events_of(
        outcomes,
        "AAAA1: message-id=<1@example.org>",
        *(failed("AAAA1", f"{name}@x.example") for name in "ab"),
        *(failed("AAAA1", f"{name}@x.example") for name in "ab"),
        sent("AAAA1", "a@x.example"),
        "AAAA1: from=<s@example.org>, status=expired, returned to sender",
        "AAAA1: removed",
    )[5:]
    assert [(each.type, each.num_retries, each.error_code, each.bounce_class) for each in events] == [
        ("expiration", 2, "450", 70)
    ]
    assert events[0].recipient_mark == recipient_mark(NODE, "AAAA1", "b@x.example")


def test_an_expiry_of_a_message_that_is_not_known_names_nobody(outcomes: Outcomes) -> None:
    (event,) = events_of(outcomes, "AAAA1: from=<>, status=force-expired, returned to sender")
    assert (event.type, event.recipient_mark, event.num_retries) == ("expiration", 0, -1)


def test_tries_are_not_known_of_a_message_that_came_before(outcomes: Outcomes) -> None:
    events = events_of(outcomes, failed("AAAA1", "a@x.example"), failed("AAAA1", "a@x.example"))
    assert [each.num_retries for each in events] == [-1, 1]


def test_a_queue_id_that_is_used_again_begins_anew(outcomes: Outcomes) -> None:
    events = events_of(
        outcomes,
        "AAAA1: client=x[192.0.2.1]",
        "AAAA1: message-id=<1@example.org>",
        failed("AAAA1", "a@x.example"),
        "AAAA1: client=x[192.0.2.1]",  # its "removed" was not seen
        "AAAA1: message-id=<2@example.org>",
        failed("AAAA1", "a@x.example"),
    )
    assert [(each.num_retries, each.message_id_header) for each in events] == [
        (0, "<1@example.org>"),
        (0, "<2@example.org>"),
    ]


@pytest.mark.parametrize(
    "relay",
    [
        "127.0.0.1[127.0.0.1]:10024",
        "localhost[::1]:24",
        "x[/run/filter]",
        "filter.example.org[192.0.2.5]:25",
        "y[192.0.2.5]:10026",
    ],
)
def test_mail_that_a_filter_takes_and_hands_back_is_one(outcomes: Outcomes, relay: str) -> None:
    events = events_of(
        outcomes,
        "BBBB2: client=x[127.0.0.1]",
        sent("AAAA1", "a@x.example", "250 2.0.0 from MTA(x): 250 2.0.0 Ok: queued as BBBB2", relay),
        sent("BBBB2", "a@x.example", "250 2.0.0 Ok: queued as CCCC3", relay),
        failed("CCCC3", "a@x.example", "bounced"),
    )
    (event,) = events
    assert (event.queue_id, event.type) == ("CCCC3", "bounce")
    assert event.earlier == tuple(
        (name, recipient_mark(NODE, name, "a@x.example")) for name in ("BBBB2", "AAAA1")
    )


def test_a_hop_that_names_the_first_queue_id_needs_no_second_line(outcomes: Outcomes) -> None:
    """The copy may be delivered before the line of the hop is written."""
    events = events_of(
        outcomes,
        "BBBB2: client=unknown[127.0.0.1], orig_queue_id=AAAA1, orig_client=x[192.0.2.1]",
        "BBBB2: message-id=<1@example.org>",
        sent("BBBB2", "a@x.example", relay="virtual"),
        "BBBB2: removed",
        sent("AAAA1", "a@x.example", "250 2.0.0 Ok: queued as BBBB2", "127.0.0.1[127.0.0.1]:10026"),
    )
    assert [(each.queue_id, each.earlier) for each in events] == [
        ("BBBB2", (("AAAA1", recipient_mark(NODE, "AAAA1", "a@x.example")),))
    ]


def test_a_delivery_to_this_host_that_names_no_next_is_one(outcomes: Outcomes) -> None:
    (event,) = events_of(
        outcomes, sent("AAAA1", "a@x.example", "250 2.0.0 <a@x.example> Saved", "x[/run/lmtp]")
    )
    assert (event.type, event.remote_address) == ("delivery", "")


def test_the_original_recipient_leads_to_the_message(outcomes: Outcomes) -> None:
    line = sent("AAAA1", "member@x.example").replace(", relay", ", orig_to=<list@example.org>, relay", 1)
    (event,) = events_of(outcomes, line)
    assert event.recipient_mark == recipient_mark(NODE, "AAAA1", "list@example.org")
    assert event.earlier == (("AAAA1", recipient_mark(NODE, "AAAA1", "member@x.example")),)


@pytest.mark.parametrize("logged", ['"first last"', "first last", r'"first\ last"'])
def test_a_quoted_local_part_is_the_same_in_every_form_of_the_log(outcomes: Outcomes, logged: str) -> None:
    """Postfix 3.4, and later ones with info_log_address_format = internal, write it without quotes."""
    (event,) = events_of(outcomes, sent("AAAA1", f"{logged}@x.example"))
    assert event.recipient_mark == recipient_mark(NODE, "AAAA1", '<"first last"@x.example>')


def test_members_of_one_alias_have_outcomes_of_their_own(outcomes: Outcomes) -> None:
    lines = [
        sent("AAAA1", f"{name}@x.example").replace(", relay", ", orig_to=<list@example.org>, relay", 1)
        for name in "ab"
    ]
    assert len({each.id for each in events_of(outcomes, lines[0]) + events_of(outcomes, lines[1])}) == 2


def forwarded(queue_id: str, recipient: str, after: str, original: str = "") -> str:
    line = sent(queue_id, recipient, f"forwarded as {after}", "local")
    return line.replace(", relay", f", orig_to=<{original}>, relay", 1) if original else line


@pytest.mark.parametrize("original", ["", "first@example.org"])
def test_an_alias_of_the_local_agent_is_a_step_and_no_delivery(outcomes: Outcomes, original: str) -> None:
    """As a Postfix 3.7 logs it: the copy is a message of its own, without a line of smtpd or pickup."""
    first = original or "team@example.org"
    events = events_of(outcomes, forwarded("AAAA1", "team@example.org", "BBBB2", original), program=LOCAL)
    assert events == []
    line = failed("BBBB2", "one@x.example", "bounced")
    (event,) = events_of(outcomes, line.replace(", relay", f", orig_to=<{first}>, relay", 1))
    assert event.type == "bounce"
    assert event.recipient_mark == recipient_mark(NODE, "BBBB2", first)
    assert ("AAAA1", recipient_mark(NODE, "AAAA1", first)) in event.earlier


@pytest.mark.parametrize("reason", ["delivered to command: x forwarded as BBBB2", "queued as BBBB2"])
def test_what_the_local_agent_says_of_a_command_is_a_delivery(outcomes: Outcomes, reason: str) -> None:
    (event,) = events_of(outcomes, sent("AAAA1", "a@example.org", reason, "local"), program=LOCAL)
    assert event.type == "delivery"


def test_a_message_that_is_queued_anew_leads_to_the_one_before(outcomes: Outcomes) -> None:
    """By `postsuper -r`."""
    outcomes.of(Line(AT, "postfix/pickup", "BBBB2: uid=89 from=<a@example.org> orig_id=AAAA1"))
    (event,) = events_of(outcomes, sent("BBBB2", "a@x.example"))
    assert event.earlier == (("AAAA1", recipient_mark(NODE, "AAAA1", "a@x.example")),)


def test_mail_that_cleanup_bounces_is_a_bounce(outcomes: Outcomes) -> None:
    """What sendmail(1) handed in and a check of headers refused."""
    line = failed("AAAA1", "a@x.example", "bounced")
    (event,) = outcomes.of(Line(AT, "postfix/cleanup", line))
    assert event.type == "bounce"


def test_discarded_mail_is_given_up_by_the_site(outcomes: Outcomes) -> None:
    (event,) = events_of(
        outcomes, sent("AAAA1", "a@x.example", "x.example", "none"), program="postfix/discard"
    )
    assert (event.type, event.bounce_class, event.raw_reason) == ("bounce", 25, "x.example")


def test_equal_lines_are_equal_events(outcomes: Outcomes, tmp_path: Path) -> None:
    lines = [
        sent("AAAA1", "a@x.example"),
        failed("BBBB1", "a@x.example"),
        "CCCC1: from=<>, status=expired, returned to sender",
    ]
    other = QueueMemory(tmp_path / "other.db")
    assert events_of(outcomes, *lines) == events_of(Outcomes(NODE, other), *lines)
    assert len({each.id for each in events_of(outcomes, *lines)}) == 3
    other.close()


def test_sendmail_leaves_an_only_recipient_to_the_queue_id(outcomes: Outcomes) -> None:
    head = "5AT9vXkl00123{}: from=<b@example.org>, size=5, class=0, nrcpts={}, msgid=<2@x>, proto=ESMTP"
    line = "5AT9vXkl00123{}: to=<a@x.example>, delay=00:00:02, mailer=esmtp, dsn=2.0.0, stat=Sent"
    one = events_of(outcomes, head.format(1, 1), line.format(1), program="sm-mta")
    two = events_of(outcomes, head.format(2, 2), line.format(2), program="sm-mta")
    assert [each.recipient_mark for each in one] == [0]
    assert [each.recipient_mark for each in two] == [recipient_mark(NODE, "5AT9vXkl001232", "a@x.example")]
    assert {each.message_id_header for each in one + two} == {"<2@x>"}


# Of a real Sendmail 8.17.1.9, but for the names of recipients; the host is what syslogd puts in.
REAL_SENDMAIL = """\
Nov 29 12:13:41 mx sendmail[27892]: 6ATCDfKH027892: from=<a@sender.test>, size=212, class=0, nrcpts=4, \
msgid=<202611291213.6ATCDfKH027892@mail.example.test>, proto=ESMTP, daemon=off, relay=localhost [127.0.0.1]
Nov 29 12:13:41 mx sendmail[27894]: 6ATCDfKH027892: to=<d@x.test>, delay=00:00:00, xdelay=00:00:00, \
mailer=relay, pri=120212, relay=[127.0.0.1] [127.0.0.1], dsn=4.3.0, reply=451 4.2.1 later, \
stat=Deferred: 451 4.2.1 later
Nov 29 12:13:41 mx sendmail[27894]: 6ATCDfKH027892: to=<c@x.test>, delay=00:00:00, xdelay=00:00:00, \
mailer=relay, pri=120212, relay=[127.0.0.1] [127.0.0.1], dsn=5.1.1, reply=550 5.1.1 no such user, \
stat=User unknown
Nov 29 12:13:41 mx sendmail[27894]: 6ATCDfKH027892: to=<b@x.test>,<a@x.test>, delay=00:00:00, \
xdelay=00:00:00, mailer=relay, pri=120212, relay=[127.0.0.1] [127.0.0.1], dsn=2.0.0, stat=Sent (2.0.0 kept)
Nov 29 12:13:41 mx sendmail[27894]: 6ATCDfKH027892: 6ATCDfKH027894: DSN: User unknown
Nov 29 12:13:41 mx sendmail[27899]: 6ATCDfKH027892: to=<d@x.test>, delay=00:00:00, xdelay=00:00:00, \
mailer=relay, pri=210212, relay=[127.0.0.1] [127.0.0.1], dsn=4.3.0, reply=451 4.2.1 later, \
stat=Deferred: 451 4.2.1 later
"""


def test_a_real_sendmails_log(outcomes: Outcomes) -> None:
    """Two tries of one second are two, and two recipients of one line as well."""
    events: list[MessageEvent] = []
    for raw in REAL_SENDMAIL.encode().splitlines():
        line = parsed(raw, AT + 86_400_000)
        assert line is not None
        events += outcomes.of(line)
    names = {recipient_mark(NODE, "6ATCDfKH027892", f"{name}@x.test"): name for name in "abcd"}
    assert [
        (names[each.recipient_mark], each.type, each.error_code, each.num_retries) for each in events
    ] == [
        ("d", "delay", "451", 0),
        ("c", "bounce", "550", 0),
        ("b", "delivery", "", 0),
        ("a", "delivery", "", 0),
        ("d", "delay", "451", 1),
    ]
    assert len({each.id for each in events}) == 5
    assert events[1].raw_reason == "User unknown (550 5.1.1 no such user)"
    assert {each.message_id_header for each in events} == {"<202611291213.6ATCDfKH027892@mail.example.test>"}


def test_what_was_learned_is_there_after_a_restart(
    outcomes: Outcomes, memory: QueueMemory, tmp_path: Path
) -> None:
    events_of(
        outcomes,
        "AAAA1: message-id=<1@example.org>",
        failed("AAAA1", "a@x.example"),
        sent("AAAA1", "b@x.example", "250 2.0.0 Ok: queued as BBBB2", "127.0.0.1[127.0.0.1]:10026"),
    )
    memory.commit("log", {"offset": 7}, AT / 1000)
    memory.close()
    again = QueueMemory(tmp_path / "lib" / "follow.db")
    assert again.cursor("log") == {"offset": 7}
    assert again.cursor("other") == {}
    events = events_of(Outcomes(NODE, again), failed("AAAA1", "a@x.example"), sent("BBBB2", "b@x.example"))
    assert [(each.num_retries, each.message_id_header) for each in events] == [
        (1, "<1@example.org>"),
        (-1, ""),
    ]
    assert events[1].earlier[0][0] == "AAAA1"
    again.close()


def test_what_was_not_committed_is_forgotten(outcomes: Outcomes, memory: QueueMemory) -> None:
    events_of(outcomes, "AAAA1: message-id=<1@example.org>")
    memory.commit("log", {}, AT / 1000)
    events_of(outcomes, failed("AAAA1", "a@x.example"), "BBBB2: message-id=<2@example.org>", "AAAA1: removed")
    memory.undo()
    events = events_of(outcomes, failed("AAAA1", "a@x.example"), failed("BBBB2", "a@x.example"))
    assert [each.num_retries for each in events] == [0, -1]


def test_what_is_known_ends_with_the_message_or_after_days(
    outcomes: Outcomes, memory: QueueMemory, tmp_path: Path
) -> None:
    events_of(outcomes, "AAAA1: message-id=<1@x>", "BBBB1: message-id=<2@x>")
    memory.commit("log", {}, AT / 1000)
    events_of(outcomes, "AAAA1: removed")
    memory.commit("log", {}, AT / 1000)
    assert (memory.of("AAAA1").header, memory.of("BBBB1").header) == ("", "<2@x>")
    memory.commit("log", {}, AT / 1000 + 9 * 86_400)
    memory.close()
    again = QueueMemory(tmp_path / "lib" / "follow.db")
    assert again.of("BBBB1").header == ""
    again.close()


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "follow.db").write_text(json.dumps({"no": "database"}) * 100)
    with pytest.raises(MemoryFileError, match=r"follow.db: .*Make it writable"):
        QueueMemory(tmp_path / "follow.db")
