"""A session's callbacks, without an MTA: what each hands on, and that none of them ends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import Milter
import pytest

from smtpapi.model.envelope import Client, Envelope, Resolved
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Plan, Refuse, Why
from smtpapi.mta.services import SessionServices
from smtpapi.mta.session import Session
from smtpapi.pipeline.pass_through import Reads
from smtpapi.pipeline.site import MessageResult
from unit.incoming_samples import Services

EVERY_ACTION = 0x1FF
EVERY_STEP = 0x1FFFFF
MACROS = {
    "{daemon_addr}": "198.51.100.1",
    "{daemon_port}": "25",
    "{daemon_name}": "smtpd",
    "{client_addr}": "192.0.2.7",
    "j": "mx.test",
    "i": "Q1",
    "{rcpt_mailer}": "local",
    "{rcpt_host}": "h",
    "{rcpt_addr}": "b",
}


@dataclass
class Worker(Services):
    """The services of a worker, as far as sessions use them."""

    passes: Why | None = None
    resolves: bool = False
    read_questions: list[tuple[Envelope, Message, Mapping[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sessions: set[int] = set()
        self.in_transaction: set[int] = set()
        self.at_end_of_message: set[int] = set()
        self.reported_missing: set[str] = set()
        self.ended_in: list[set[int]] = []

    def missing(self, _rights: GrantedActions) -> str:
        return ""

    def passing(self, client: Client, _context: Mapping[str, str]) -> Why | None:
        if client.login == "fault":
            raise KeyError("passing")
        return self.passes

    def reads(self, envelope: Envelope, header: Message, context: Mapping[str, str]) -> Reads:
        self.read_questions.append((envelope, header, context))
        return Reads.ALL

    def takes_context(self, _client: Client, _verb: str) -> bool:
        return True

    def customer_of(self, _login: str) -> str:
        return ""

    def consider(self, *values: Any) -> MessageResult:
        self.ended_in.append(set(self.at_end_of_message))
        return super().consider(*values)


class Context:
    """What libmilter's binding gives a session. fails: the name of a call that raises."""

    def __init__(self, fails: str = "", macros: Mapping[str, str] = MACROS) -> None:
        self.replies: list[tuple[Any, ...]] = []
        self.calls: list[tuple[Any, ...]] = []
        self._macros = macros
        self._fails = fails

    def getsymval(self, name: str) -> str | None:
        if name == self._fails:
            raise KeyError(name)
        return self._macros.get(name)

    def setsymlist(self, *_values: Any) -> None:
        return None

    def setreply(self, *values: Any) -> None:
        if self._fails == "setreply":
            raise ValueError
        self.replies.append(values)

    def chgheader(self, *values: Any) -> None:
        self.calls.append(("chgheader", *values))


def session(worker: Worker, context: Context | None = None) -> Session:
    """Return a session in which a client of 192.0.2.7 has said EHLO."""
    made = Session(cast(SessionServices, worker))
    made._ctx = context or Context()
    offered = [EVERY_ACTION, EVERY_STEP, 0, 0]
    assert made.negotiate(offered) == Milter.CONTINUE
    made.connect("c.test", 2, ("192.0.2.7", 1234))
    made.hello("me.test")
    return made


def message(made: Session, *recipients: bytes, params: tuple[bytes, ...] = ()) -> None:
    made.envfrom(b"<a@s.test>")
    for recipient in recipients or (b"<b@r.test>",):
        made.envrcpt(recipient, *params)
    made.header("Subject", b" x")
    made.body(b"body\r\n")


LEAVE = MessageResult(Leave(Why.NO_LINK), connection_context={"next": "2"})


def test_a_message_is_handed_on_with_its_envelope() -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker)
    assert worker.sessions == {id(made)}
    assert worker.counters.names == {"sessions": 1}
    message(made, b"<b@r.test>", b"c@r.test", params=(b"ORCPT=rfc822;who@r.test",))
    assert worker.in_transaction == {id(made)}
    assert made.eom() == Milter.CONTINUE
    ((envelope, mail, context),) = worker.considered
    client = Client("192.0.2.7", "c.test", "", "198.51.100.1", 25, "smtpd", "me.test", "mx.test")
    originals = ("who@r.test", "who@r.test")
    assert envelope == Envelope(client, "a@s.test", ("b@r.test", "c@r.test"), "Q1", originals)
    assert mail == Message((Field("Subject", b" x"),), b"body\r\n")
    assert context == {}
    assert worker.ended_in == [{id(made)}]
    assert (worker.at_end_of_message, worker.in_transaction, worker.taken()) == (set(), set(), 0)


def test_what_a_message_sets_lasts_for_the_next() -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker)
    for _ in range(2):
        message(made)
        made.eom()
    assert [context for _, _, context in worker.considered] == [{}, {"next": "2"}]
    assert [envelope.recipients for envelope, _, _ in worker.considered] == [("b@r.test",)] * 2


def test_without_options_there_are_no_originals() -> None:
    worker = Worker(answer=LEAVE)
    for params in ((), (b"NOTIFY=NEVER",)):
        made = session(worker)
        message(made, params=params)
        made.eom()
    assert [envelope.originals for envelope, _, _ in worker.considered] == [(), ()]


@pytest.mark.parametrize("resolves", [True, False])
def test_where_the_mta_delivers_is_asked_if_somebody_wants_to_know(resolves: bool) -> None:
    worker = Worker(answer=LEAVE, resolves=resolves)
    made = session(worker)
    message(made, b"<b@r.test>", b"<c@r.test>")
    made.eom()
    expected = (Resolved("local", "h", "b"),) * 2 if resolves else ()
    assert worker.considered[0][0].resolved == expected


def test_a_login_is_that_of_mail() -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker, Context(macros={**MACROS, "{auth_authen}": "ida"}))
    message(made)
    made.eom()
    assert worker.considered[0][0].client.login == "ida"


def test_what_a_login_proved_does_not_outlast_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(answer=LEAVE)
    customers = {"ida": "17"}
    monkeypatch.setattr(worker, "customer_of", lambda login: customers.get(login, ""))
    macros = dict(MACROS)
    made = session(worker, Context(macros=macros))
    made.hello("xsetcontext cust_a=1")
    found = []
    for login in ("ida", "ida", "bob", ""):
        macros["{auth_authen}"] = login
        made.envfrom(b"<a@s.test>")
        found.append(dict(made._context))
        made.abort()
    assert found == [{"cust_a": "1", "mo_customer_id": "17"}] * 2 + [{"cust_a": "1"}] * 2


@pytest.mark.parametrize("octets", [b"<\xe4@s.test>", b"\xff"])
def test_an_address_that_is_no_utf_8_is_kept(octets: bytes) -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker)
    made.envfrom(octets)
    made.envrcpt(octets)
    made.eom()
    address = octets.strip(b"<>").decode("utf-8", "surrogateescape")
    assert worker.considered[0][0].sender == address
    assert worker.considered[0][0].recipients == (address,)


def test_steps_that_need_no_answer_get_none() -> None:
    made = session(Worker(answer=LEAVE))
    assert made.envfrom(b"<a@s.test>") == Milter.NOREPLY
    assert made.envrcpt(b"<b@r.test>") == Milter.NOREPLY
    assert made.header("Subject", b" x") == Milter.NOREPLY
    assert made.body(b"x") == Milter.NOREPLY
    assert made.abort() == Milter.CONTINUE
    assert made.close() == Milter.CONTINUE


def test_values_have_their_first_blank_whether_the_mta_leaves_it_or_not() -> None:
    worker = Worker(answer=LEAVE)
    made = Session(cast(SessionServices, worker))
    made._ctx = Context()
    made.negotiate([EVERY_ACTION, 0, 0, 0])
    made.envfrom(b"<a@s.test>")
    assert made.header("Subject", b"x") == Milter.CONTINUE
    made.eom()
    assert worker.considered[0][1].fields == (Field("Subject", b" x"),)


def test_mail_that_passes_is_not_held() -> None:
    worker = Worker(answer=LEAVE, passes=Why.UNTRUSTED)
    made = session(worker)
    message(made)
    made.unreadable(b"X-\xff")
    assert (made.eom(), worker.considered) == (Milter.CONTINUE, [])
    assert [outcome for outcome, _ in worker.counters.outcomes] == [Leave(Why.UNTRUSTED)]


def test_who_reads_the_body_is_asked_with_what_is_known() -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker)
    message(made)
    made.body(bytes(65_535))
    ((envelope, header, context),) = worker.read_questions
    assert (envelope.sender, envelope.recipients, context) == ("a@s.test", ("b@r.test",), {})
    assert header == Message((Field("Subject", b" x"),), b"")


def test_a_message_that_ends_early_leaves_nothing() -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker)
    for end in (made.abort, made.close):
        message(made)
        assert (worker.taken(), worker.in_transaction) == (6, {id(made)})
        end()
        assert (worker.taken(), worker.in_transaction) == (0, set())
    assert worker.sessions == set()
    message(made)
    message(made)
    assert worker.taken() == 6, "MAIL begins anew"


def test_a_fault_at_mail_or_rcpt_lets_the_message_pass() -> None:
    for macros, resolves in (({**MACROS, "{auth_authen}": "fault"}, False), (MACROS, True)):
        worker = Worker(answer=LEAVE, resolves=resolves)
        made = session(worker, Context("{rcpt_host}", macros))
        message(made)
        assert (made.eom(), worker.considered) == (Milter.CONTINUE, [])
        assert worker.counters.names["failed-before-change"] == 1
        message(made)
        made.abort()


def test_a_fault_in_a_field_or_the_body_lets_the_message_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_values: Any) -> None:
        raise KeyError("odd")

    for name in ("add_field", "add_chunk"):
        worker = Worker(answer=LEAVE)
        made = session(worker)
        with monkeypatch.context() as patch:
            patch.setattr(type(made._incoming), name, raising)
            message(made)
            assert made.header("X-MSYS-API", b" {}") == Milter.NOREPLY
        lost = ["Subject", "X-MSYS-API"] if name == "add_field" else []
        assert made._incoming.lost_fields == lost
        assert (made.eom(), worker.considered) == (Milter.CONTINUE, [])
        assert worker.counters.names["failed-before-change"] == 1


@pytest.mark.parametrize("begun", [True, False])
def test_a_name_that_cannot_be_read_is_a_field_of_the_message_under_way(begun: bool) -> None:
    worker = Worker(answer=LEAVE)
    made = session(worker)
    if begun:
        made.envfrom(b"<a@s.test>")
    made.unreadable(b"X-\xff")
    if not begun:
        made.envfrom(b"<a@s.test>")
    made.eom()
    assert worker.considered[0][1].fields == ((Field("X-\udcff", b""),) if begun else ())


def test_lost_data_is_answered_451_and_forgotten_with_its_message() -> None:
    worker = Worker(answer=LEAVE)
    context = Context()
    made = session(worker, context)
    message(made)
    made.failed()
    assert made.eom() == Milter.TEMPFAIL
    assert (worker.considered, worker.counters.names["failed-before-change"]) == ([], 1)
    text = "Temporary failure of the tracking filter, try again"
    assert context.replies == [("451", "4.3.0", text)]
    message(made)
    assert (made.eom(), len(worker.considered)) == (Milter.CONTINUE, 1)


@pytest.mark.parametrize(
    ("refusal", "answer", "reply"),
    [
        (Refuse("550", "5.7.1", "100% no"), Milter.REJECT, ("550", "5.7.1", "100%% no")),
        (Refuse("451", "", "later"), Milter.TEMPFAIL, ("451", None, "later")),
    ],
)
def test_a_refusal_is_a_reply(refusal: Refuse, answer: int, reply: tuple[str | None, ...]) -> None:
    context = Context()
    made = session(Worker(answer=MessageResult(refusal)), context)
    message(made)
    assert (made.eom(), context.replies) == (answer, [reply])


def test_mail_that_is_dropped_is_discarded() -> None:
    made = session(Worker(answer=MessageResult(Discard())))
    message(made)
    assert made.eom() == Milter.DISCARD


def test_changes_are_made_in_the_session() -> None:
    context = Context()
    made = session(Worker(answer=MessageResult(Plan((HeaderChange("Subject", 1, None),)))), context)
    message(made)
    assert (made.eom(), context.calls) == (Milter.CONTINUE, [("chgheader", "Subject", 1, "")])


@pytest.mark.parametrize(("fails", "replies"), [("", 1), ("setreply", 0)])
def test_whatever_fails_at_the_end_the_answer_is_451(
    fails: str, replies: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = Context(fails)
    worker = Worker(answer=LEAVE)
    made = session(worker, context)
    message(made)

    def raising() -> int:
        raise KeyError("odd")

    monkeypatch.setattr(made, "_finish", raising)
    assert made.eom() == Milter.TEMPFAIL
    assert len(context.replies) == replies
    assert (worker.at_end_of_message, worker.in_transaction) == (set(), set())
    assert "a callback of libmilter failed" in caplog.text


def test_the_mta_is_asked_for_the_macros_that_are_read() -> None:
    assert Session.macro_requests == (
        (0, "{daemon_addr} {daemon_port} {daemon_name} {client_addr} j"),
        (2, "{auth_authen} i"),
        (3, "{rcpt_mailer} {rcpt_host} {rcpt_addr}"),
        (5, "i {auth_authen}"),
    )
