"""Each row of the tables by which lines of mail logs are read, and where texts of them are cut."""

from datetime import datetime

import pytest

from engagement.maillogs import postfix, sendmail
from engagement.maillogs.facts import Attempt, Fact, Status
from engagement.maillogs.lines import parsed


def local(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)


_YEAR_END = local("2026-12-31T23:59:00")
_POSTFIX = (
    "4XyZ12abcdz9s: to=<a@x.example>, relay={relay}, delay=1.5, delays=0/0/0/1, dsn=2.0.0, "
    "status={status} (reason)"
)
_SENDMAIL = "5AT9vXkl001234: to={to}, delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=60512, {rest}"


@pytest.mark.parametrize(
    ("month", "name"),
    list(enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)),
)
def test_each_month_of_the_traditional_stamp_is_read(month: int, name: str) -> None:
    line = parsed(f"{name}  7 10:00:02 mx postfix/qmgr[1]: x".encode(), _YEAR_END)
    assert line is not None
    assert line.at_ms == local(f"2026-{month:02}-07T10:00:02")


@pytest.mark.parametrize(
    ("agent", "method"),
    [
        ("smtp", "esmtp"),
        ("lmtp", "lmtp"),
        ("local", "local"),
        ("virtual", "virtual"),
        ("pipe", "pipe"),
        ("error", "error"),
        ("discard", "discard"),
        ("qmgr", "error"),
        ("oqmgr", "error"),
    ],
)
def test_each_agent_of_postfix_has_its_method(agent: str, method: str) -> None:
    found = postfix.fact(f"postfix/{agent}", _POSTFIX.format(relay="none", status="bounced"))
    assert isinstance(found, Attempt)
    assert (found.method, found.status) == (method, Status.BOUNCED)


@pytest.mark.parametrize("agent", ["qmgr", "oqmgr"])
def test_both_queue_managers_tell_of_a_message_s_end(agent: str) -> None:
    removed = postfix.fact(f"postfix/{agent}", "4XyZ12abcdz9s: removed")
    expired = postfix.fact(
        f"postfix/{agent}", "4XyZ12abcdz9s: from=<a@x>, status=expired, returned to sender"
    )
    assert [type(each).__name__ for each in (removed, expired)] == ["Gone", "Expired"]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("sent", Status.SENT),
        ("deferred", Status.DEFERRED),
        ("bounced", Status.BOUNCED),
        ("SOFTBOUNCE", Status.DEFERRED),
        ("expired", Status.EXPIRED),
        ("force-expired", Status.EXPIRED),
        ("deferred,", Status.DEFERRED),
        ("Sent", None),
        ("other", None),
    ],
)
def test_each_status_of_postfix_is_known(word: str, status: Status | None) -> None:
    found = postfix.fact("postfix/smtp", _POSTFIX.format(relay="none", status=word))
    assert (found.status if isinstance(found, Attempt) else found) == status


@pytest.mark.parametrize(
    ("relay", "place"),
    [
        ("mx.example.net[203.0.113.9]:25", ("mx.example.net", "203.0.113.9", 25)),
        ("mx.example.net[2001:db8::9]:2525", ("mx.example.net", "2001:db8::9", 2525)),
        ("mx.example.net[/run/lmtp]", ("mx.example.net", "/run/lmtp", 0)),
        ("none", ("", "", 0)),
    ],
)
def test_the_other_side_of_postfix_is_told(relay: str, place: tuple[str, str, int]) -> None:
    found = postfix.fact("postfix/smtp", _POSTFIX.format(relay=relay, status="sent"))
    assert isinstance(found, Attempt)
    assert (found.host, found.address, found.port) == place
    assert (found.delay, found.queue_time) == ("1.5 0/0/0/1", 1500)


def sendmail_facts(rest: str, to: str = "<a@x.example>") -> tuple[Fact, ...]:
    return sendmail.facts(_SENDMAIL.format(to=to, rest=rest))


def statuses(rest: str) -> list[Status]:
    return [each.status for each in sendmail_facts(rest) if isinstance(each, Attempt)]


@pytest.mark.parametrize(
    "text",
    [
        "User unknown",
        "Host unknown (Name server: x: host not found)",
        "Service unavailable",
        "Data format error",
        "Permission denied",
        "Local configuration error",
        "Remote protocol error",
    ],
)
def test_each_failure_of_sendmail_is_a_bounce_without_a_code(text: str) -> None:
    assert statuses(f"stat={text}") == [Status.BOUNCED]


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("dsn=5.9.9, stat=Some other words", Status.BOUNCED),
        ("dsn=4.9.9, stat=Some other words", Status.DEFERRED),
        ("stat=Deferred: slow", Status.DEFERRED),
        ("dsn=5.0.0, stat=Deferred: slow", Status.DEFERRED),
        ("stat=Sent", Status.SENT),
        ("stat=Cannot send message for 5 days", Status.EXPIRED),
        ("stat=Message could not be delivered for 5 days", Status.EXPIRED),
    ],
)
def test_each_outcome_of_sendmail_is_known(rest: str, status: Status) -> None:
    assert statuses(rest) == [status]


@pytest.mark.parametrize(
    "rest", ["dsn=2.9.9, stat=Some other words", "stat=Some other words", "stat=queued", ""]
)
def test_what_is_no_outcome_of_sendmail_is_none(rest: str) -> None:
    assert statuses(rest) == []


@pytest.mark.parametrize(
    ("relay", "place"),
    [
        ("mx.x.example. [203.0.113.7]", ("mx.x.example", "203.0.113.7")),
        ("mx.x.example.", ("mx.x.example", "")),
        ("mx.x.example [2001:db8::7]", ("mx.x.example", "2001:db8::7")),
        ("[203.0.113.7] [203.0.113.7]", ("203.0.113.7", "203.0.113.7")),
        ("[203.0.113.7]", ("203.0.113.7", "203.0.113.7")),
        ("[2001:db8::7]", ("2001:db8::7", "2001:db8::7")),
        ("", ("", "")),
    ],
)
def test_the_other_side_of_sendmail_is_told(relay: str, place: tuple[str, str]) -> None:
    relay_field = f"relay={relay}, " if relay else ""
    (found,) = sendmail_facts(f"{relay_field}dsn=2.0.0, stat=Sent (ok)")
    assert isinstance(found, Attempt)
    assert (found.host, found.address) == place
    assert (found.method, found.delay, found.enhanced) == ("esmtp", "00:00:02 60512", "2.0.0")


@pytest.mark.parametrize(
    ("to", "addresses"),
    [
        ("<a@x>,<b@x>", ["a@x", "b@x"]),
        ("a@x, b@x,", ["a@x", "b@x"]),
        ("<a@x>,<b@x>, [more]", ["a@x", "b@x"]),  # of a list that goes on in the next line
        ('"c,d"@x,e@x', ['"c,d"@x', "e@x"]),
        (r'"c\",d"@x,e@x', [r'"c\",d"@x', "e@x"]),
        ('"c","d"', ['"c"', '"d"']),
        ('<"c"@x>,"d,e"@x', ['"c"@x', '"d,e"@x']),
    ],
)
def test_a_list_of_recipients_is_cut_where_an_address_ends(to: str, addresses: list[str]) -> None:
    found = sendmail_facts("stat=Sent", to)
    assert [each.recipient for each in found if isinstance(each, Attempt)] == addresses


@pytest.mark.parametrize(
    ("delay", "milliseconds"),
    [("00:00:02", 2000), ("01:02:03", 3_723_000), ("2+01:00:00", 176_400_000), ("x", -1)],
)
def test_the_time_in_the_queue_of_sendmail(delay: str, milliseconds: int) -> None:
    (found,) = sendmail.facts(_SENDMAIL.format(to="<a@x>", rest="stat=Sent").replace("00:00:02", delay, 1))
    assert isinstance(found, Attempt)
    assert found.queue_time == milliseconds


def test_a_reply_is_the_reason_where_the_word_does_not_have_it() -> None:
    reasons = []
    for rest in (
        "reply=550 no, stat=User unknown",
        "reply=550 no, stat=User unknown: 550 no",
        "stat=User unknown",
    ):
        (found,) = sendmail_facts(rest)
        assert isinstance(found, Attempt)
        reasons.append(found.reason)
    assert reasons == ["User unknown (550 no)", "User unknown: 550 no", "User unknown"]
