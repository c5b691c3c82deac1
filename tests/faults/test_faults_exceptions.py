"""An exception at every call of deciding, planning and applying, one by one: never a half-changed mail.

A session is driven in this process, without an MTA; the n-th call of any function of ours between MAIL and
the answer to the message raises, for each n there is.
"""

import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import Milter
import pytest

import milter
from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.mta import connection, incoming_message, session
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.pass_through import known_to_pass, reads, without_room
from smtpapi.pipeline.transaction import Site, consider, removable
from smtpapi.policy.hooks import parse
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import Counters

# A generator that a fault hits while it is being closed reports it in no other way.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_ROOT = Path(session.__file__).parents[3]
_OURS = (str(_ROOT / "milter" / "smtpapi"), str(_ROOT / "engagement"))
_NOW = 1_795_501_800.0
_RING = Ring().rotated(b"k" * 32, 1)
_CONFIG = """smtpapi { }
rewriting { several_recipients = split verify = true split_listener = "127.0.0.1:10026" }
ESMTP_Listener { Listen ":25" { }
  click_tracking_enabled = true open_tracking_enabled = true tracking_domain = "t.example.net" }"""
_POLICY = '''
"""Reads and sets, as policies do."""
from smtpapi.policy import core

def validate_data_spool_each_rcpt(msg, ac, vctx):
    vctx.set(core.VCTX_RCPT, "smtpapi_campaign_id", msg.recipient[:9])
'''
_HTML = b'<html><body><p><a href="https://shop.example/1?a=1&amp;b">x</a> {{ link }}</p></body></html>\r\n'
_MIME = (
    b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"See https://shop.example/2?x=3D1 now=\r\n.\r\n--b\r\nContent-Type: text/html\r\n\r\n"
    + _HTML
    + b"--b--\r\n"
)


class Injected(RuntimeError):
    """The fault."""


class Context:
    """libmilter's side: answers macros and keeps what it is asked to change."""

    def __init__(self, port: int) -> None:
        self.macros = {"{daemon_addr}": "127.0.0.1", "{daemon_port}": str(port), "i": "4bXyZ"}
        self.changes: list[tuple[object, ...]] = []
        self.reply = ""

    def getsymval(self, name: str) -> str | None:
        return self.macros.get(name)

    def setsymlist(self, *_: object) -> None:
        pass

    def setreply(self, code: str, *_: object) -> None:
        self.reply = code

    def addheader(self, name: str, value: str, index: int) -> None:
        self.changes.append(("add", name, value))

    def chgheader(self, name: str, index: int, value: str) -> None:
        self.changes.append(("change", name, index, value))

    def addrcpt(self, address: str, parameters: str | None) -> None:
        self.changes.append(("addrcpt", address))

    def delrcpt(self, address: str) -> None:
        self.changes.append(("delrcpt", address))

    def replacebody(self, body: bytes) -> None:
        self.changes.append(("body", body))


class Fault:
    """Raises at the n-th call of a function of ours; n = 0 only counts."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.place = ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_OURS) or code.co_name in _HARNESS:
            return
        self.calls += 1
        if self.calls == self.number:
            self.place = f"{code.co_filename.rpartition('/')[2]}:{code.co_name}"
            sys.setprofile(None)
            raise Injected(self.place)


_HARNESS = ("__del__",)
# Where nothing of ours runs yet that could let the mail pass: the end of the message answers 451.
_ENTRIES = {
    f"session.py:{name}"
    for name in (
        "envfrom",
        "envrcpt",
        "_take_recipient",
        "header",
        "body",
        "eom",
        "_finish",
        "_begin",
    )
} | {
    "incoming_message.py:__init__",
    "incoming_message.py:release",
    "incoming_message.py:add_field",
    "message_end.py:answer",
    "modification_calls.py:apply_modifications",
}
# Not entered, it cannot answer; pymilter lets the mail pass as it came.
_LAST = "session.py:eom"


@dataclass
class Case:
    """One mail. fields: header in Postfix's way; port: 10026 is the second pass.

    again: the site has judged such a mail before, and keeps what it says of all of its kind.
    """

    recipients: tuple[str, ...]
    fields: list[tuple[str, bytes]]
    body: bytes
    port: int = 25
    policy: str = ""
    client: str = "127.0.0.1"
    again: bool = False


@dataclass
class Outcome:
    answer: int
    changes: list[tuple[object, ...]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    reply: str = ""


def _fields(**more: str) -> list[tuple[str, bytes]]:
    head = {
        "From": "a@sender.test",
        "Date": "Tue, 24 Nov 2026 06:30:00 +0000",
        "Message-ID": "<1@sender.test>",
        "Content-Type": 'multipart/alternative; boundary="b"',
        "X-MSYS-API": '{"campaign_id": "x", "metadata": {"a": "b"}, "tags": ["t"]}',
    } | {name.replace("_", "-"): value for name, value in more.items()}
    return [(name, b" " + value.encode()) for name, value in head.items()]


def _mark() -> str:
    """What the first pass puts into the mail of `several`."""
    changes = _run(CASES["several"], Fault(0)).changes
    (value,) = (
        str(value) for kind, name, value in (a for a in changes if a[0] == "add") if name == "X-Smtpapi-Split"
    )
    return value.strip()


def _connected(services: SessionServices, context: Context, case: Case) -> session.Session:
    one = session.Session(services)
    one._ctx = context
    one.negotiate([milter.CURR_ACTS, 0, 0, 0])
    one.connect("localhost", socket.AF_INET, (case.client, 4000))
    one.hello("client.test")
    return one


def _send(one: session.Session, case: Case) -> int:
    steps = [lambda: one.envfrom(b"<a@sender.test>")]
    steps += [partial(one.envrcpt, f"<{recipient}>".encode()) for recipient in case.recipients]
    # Below the leading-space option, which is not negotiated here, the MTA takes a blank away.
    steps += [partial(one.header, name, value.removeprefix(b" ")) for name, value in case.fields]
    steps += [lambda: one.body(case.body), one.eom]
    answer = Milter.CONTINUE
    for step in steps:
        try:
            answer = step()
        except Injected:  # as `milter_loop` records it
            answer = Milter.CONTINUE
            one.failed()
    return answer


def _run(case: Case, fault: Fault) -> Outcome:
    counters = Counters.create(2)
    site = Site.build(load_text(_CONFIG), _RING, parse(case.policy, "p.py") if case.policy else None)
    services = SessionServices(
        consider=lambda *facts: consider(site, *facts[:3], now=_NOW, tick=time.monotonic, rights=facts[3]),
        removable=lambda *facts: removable(site, *facts),
        record=lambda result: None,
        takes_context=lambda client, command: False,
        customer_of=lambda login: "",
        counters=counters.row(1),
        tick=time.monotonic,
        max_size=10**6,
        passing=lambda client, context: known_to_pass(site, client, ""),
        reads=lambda *facts: reads(site, *facts),
        without_room=lambda *facts: without_room(site, *facts),
        body_memory=BodyMemory(10**8),
        missing=lambda rights: "",
    )
    if case.again:
        _send(_connected(services, Context(case.port), case), case)
        counters = Counters.create(2)
        services.counters = counters.row(1)
    context = Context(case.port)
    one = _connected(services, context, case)
    sys.setprofile(fault)
    try:
        answer = _send(one, case)
    finally:
        sys.setprofile(None)
    return Outcome(answer, context.changes, counters.totals(), context.reply)


_WITHOUT_HEADER = [(name, value) for name, value in _fields() if name != "X-MSYS-API"]
CASES: dict[str, Case] = {
    "one": Case(("ann@r.test",), _fields(), _MIME),
    "html": Case(("ann@r.test",), _fields(Content_Type="text/html"), _HTML),
    "plain": Case(("ann@r.test",), _WITHOUT_HEADER, _MIME),
    "plain again": Case(("ann@r.test",), _WITHOUT_HEADER, _MIME, again=True),
    "several again": Case(("ann@r.test", "bob@r.test"), _WITHOUT_HEADER, _MIME, again=True),
    "policy": Case(("ann@r.test",), _fields(), _MIME, policy=_POLICY),
    "several": Case(("ann@r.test", "bob@r.test"), _fields(), _MIME),
    "several by policy": Case(("ann@r.test", "bob@r.test"), _fields(), _MIME, policy=_POLICY),
    "copies": Case(("ann@r.test",), _fields(X_MSYS_API='{"cc": ["c@r.test"], "bcc": ["d@r.test"]}'), _MIME),
}


def _case(name: str) -> Case:
    if name != "second pass":
        return CASES[name]
    return Case(
        ("bob@r.test",), [*_fields(), ("X-Smtpapi-Split", b" " + _mark().encode())], _MIME, port=10026
    )


_NAMES = (*CASES, "second pass")


def _judge(case: Case, whole: Outcome, found: Outcome, fault: Fault) -> None:
    place = fault.place
    if found.changes == whole.changes and found.answer == whole.answer:
        return  # a fault that changes nothing: of a counter, a log line
    deletions = {ask for ask in whole.changes if ask[0] == "change"}
    if place == _LAST and not found.changes:
        return
    if found.answer == Milter.CONTINUE:
        # Untouched, but without the fields that must not leave; and it was counted.
        assert set(found.changes) == deletions, place
        counted = found.counts["failed-before-change"] + found.counts["why-internal-error"]
        assert counted + found.counts["why-policy-failed"] > 0, place
        assert found.counts["messages"] == 1, place
        copies = case.fields[-1][0] == "X-MSYS-API" and b'"cc"' in case.fields[-1][1]
        assert not copies, f"{place}: copies that were asked for are lost"
    else:
        # 451, so nothing of it was sent.
        assert found.answer == Milter.TEMPFAIL, place
        assert found.reply == "451" or place in _ENTRIES, place
        assert found.changes or place in _ENTRIES or b'"cc"' in case.fields[-1][1], place


def _all(name: str) -> tuple[int, dict[str, int]]:
    case = _case(name)
    whole = Fault(0)
    expected = _run(case, whole)
    assert expected.answer == Milter.CONTINUE
    assert expected.changes
    ends = {"accept": 0, "451": 0, "whole": 0}
    for number in range(1, whole.calls + 1):
        fault = Fault(number)
        found = _run(case, fault)
        _judge(case, expected, found, fault)
        same = found.changes == expected.changes and found.answer == expected.answer
        ends["whole" if same else "accept" if found.answer == Milter.CONTINUE else "451"] += 1
    return whole.calls, ends


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maillog, "failed_before_change", lambda *_: None)
    monkeypatch.setattr(maillog, "failed_in_change", lambda *_: None)


@pytest.mark.parametrize("name", _NAMES)
def test_a_fault_at_any_call_leaves_the_mail_whole(name: str) -> None:
    calls, ends = _all(name)
    assert calls > 100
    case = _case(name)
    entries = len(case.fields) + 2 * len(case.recipients) + 10  # calls in which nothing of ours can catch it
    assert ends["451"] <= entries < ends["accept"] or name == "copies"
    print(f"\n{name}: {calls} calls, {ends}")


@pytest.mark.parametrize("name", ["one", "several", "second pass", "copies"])
def test_a_fault_of_any_change_is_answered_451(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it may stand in the MTA by then."""
    case = _case(name)
    number = len(_run(case, Fault(0)).changes)
    assert number >= 2
    for last in range(number):
        _break_changes(monkeypatch, last)
        found = _run(case, Fault(0))
        assert (found.answer, found.reply) == (Milter.TEMPFAIL, "451")
        assert found.counts["failed-in-change"] == 1
        monkeypatch.undo()


def _break_changes(monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
    done = [0]

    def broken(real: Callable[..., None]) -> Callable[..., None]:
        def call(self: Context, *arguments: object) -> None:
            if done[0] == allowed:
                raise Milter.error("the connection to the MTA broke")
            done[0] += 1
            real(self, *arguments)

        return call

    for name in ("addheader", "chgheader", "addrcpt", "delrcpt", "replacebody"):
        monkeypatch.setattr(Context, name, broken(getattr(Context, name)))


# --- faults before anything is judged ----------------------------------------------------------------


def _broken_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, target: object) -> None:
    """owner.name raises at the first call that has wanted among its arguments."""
    real, due = getattr(owner, name), [True]

    def call(*arguments: object) -> object:
        if due[0] and target in arguments:
            due[0] = False
            raise Injected(name)
        return real(*arguments)

    monkeypatch.setattr(owner, name, call)


_COLLECTING = {
    "MAIL": (session, "_mailbox", b"<a@sender.test>"),
    "RCPT": (session, "_mailbox", b"<bob@r.test>"),
    "a field": (incoming_message, "Field", "Date"),
    "the first field": (incoming_message, "Field", "From"),
    "the envelope": (session, "Envelope", "4bXyZ"),
}


@pytest.mark.parametrize("place", _COLLECTING)
@pytest.mark.parametrize("name", ["html", "second pass"])
def test_a_fault_before_judging_still_takes_out_what_must_not_leave(
    name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = replace(_case(name), recipients=("bob@r.test",))
    _broken_once(monkeypatch, *_COLLECTING[place])
    found = _run(case, Fault(0))
    assert found.answer == Milter.CONTINUE
    assert found.counts["failed-before-change"] == 1
    fields = {"X-MSYS-API", "X-Smtpapi-Split"} & {field for field, _ in case.fields}
    assert found.changes == [("change", each, 1, "") for each in sorted(fields)]


@pytest.mark.parametrize("lost", ["X-MSYS-API", "X-Smtpapi-Split"])
def test_a_field_lost_to_a_fault_is_taken_out_all_the_same(
    lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(
        ("bob@r.test",), [("X-Smtpapi-Split", b" 1 1 x"), (lost, b" "), ("To", b" x"), (lost, b" ")], _HTML
    )
    _broken_once(monkeypatch, incoming_message, "Field", lost)
    found = _run(case, Fault(0))
    indexes = [ask[2] for ask in found.changes if ask[1] == lost]
    if lost == "X-MSYS-API":  # it may have asked for copies
        assert (found.answer, found.reply) == (Milter.TEMPFAIL, "451")
    else:
        assert found.answer == Milter.CONTINUE
        assert indexes == [3, 2, 1]


def test_a_fault_before_judging_changes_nothing_of_a_stranger_s_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = [*_fields(X_MSYS_API='{"cc": ["c@r.test"]}'), ("X-Smtpapi-Split", b" 1 1 x")]
    for owner, name, target in (
        (session, "_mailbox", b"<a@sender.test>"),
        (session, "_mailbox", b"<bob@r.test>"),
        (session, "Envelope", "4bXyZ"),
    ):
        _broken_once(monkeypatch, owner, name, target)
        found = _run(Case(("bob@r.test",), fields, _HTML, client="192.0.2.7"), Fault(0))
        assert (found.answer, found.changes) == (Milter.CONTINUE, [])
        assert found.counts["failed-before-change"] == 1


def test_copies_asked_for_are_not_lost_to_a_fault_before_judging(monkeypatch: pytest.MonkeyPatch) -> None:
    _broken_once(monkeypatch, incoming_message, "Field", "Date")
    found = _run(CASES["copies"], Fault(0))
    assert (found.answer, found.reply, found.changes) == (Milter.TEMPFAIL, "451", [])


def test_without_knowing_what_to_take_out_the_mail_passes_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    _broken_once(monkeypatch, incoming_message, "Field", "Date")
    monkeypatch.setattr(Site, "untrusted", lambda *_: 1 / 0)
    found = _run(CASES["html"], Fault(0))
    assert (found.answer, found.changes) == (Milter.CONTINUE, [])
    assert found.counts["why-internal-error"] == 1


def test_a_client_lost_to_a_fault_is_a_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the whole session: nothing of its mail may be changed by trust in nobody knows whom."""
    _broken_once(monkeypatch, connection, "_address", socket.AF_INET)
    found = _run(CASES["html"], Fault(0))
    assert (found.answer, found.changes) == (Milter.CONTINUE, [])
    assert found.counts["failed-before-change"] == found.counts["why-internal-error"] == 1
