"""The end of a message: what is answered, recorded, counted and logged, whatever fails."""

import logging
from typing import Any

import Milter
import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL, NONE, GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Outcome, Plan, Recipient, Refuse, Why
from smtpapi.mta.incoming_message import IncomingMessage
from smtpapi.mta.message_end import TRY_AGAIN, MessageEnd
from smtpapi.pipeline.pass_through import Reads
from smtpapi.pipeline.site import MessageResult
from unit.event_samples import injection
from unit.incoming_samples import CLIENT, ENVELOPE, Mta, Services

REJECTED, LATER = 550, 451
PLAN = Plan((HeaderChange("X-MSYS-API", 1, None),), (Edit(0, 4, b"BODY", "link"),))


class End:
    """One message at its end, and what was asked of the MTA."""

    def __init__(
        self,
        services: Services,
        fails: str = "",
        rights: GrantedActions = ALL,
        client_fault: Exception | None = None,
        envelope: Envelope | Exception = ENVELOPE,
        header: bytes = b" {}",
    ) -> None:
        self.services = services
        self.incoming = IncomingMessage(services.as_services)
        self.incoming.sender, self.incoming.recipients = "a@s.test", ["b@r.test"]
        self.incoming.options = [()]
        self.incoming.add_field("X-MSYS-API", header, True)
        self.incoming.add_chunk(b"body\r\n", lambda _: Reads.ALL)
        self.mta = Mta(fails)
        self.refusals: list[Refuse] = []
        self._envelope = envelope
        self.end = MessageEnd(
            services.as_services, self.incoming, CLIENT, client_fault, rights, True, {"mine": "1"}
        )

    def answer(self) -> int:
        return self.end.answer(self.mta, self._read, self._refuse)

    def _read(self) -> Envelope:
        if isinstance(self._envelope, Exception):
            raise self._envelope
        return self._envelope

    def _refuse(self, refusal: Refuse) -> int:
        self.refusals.append(refusal)
        return LATER if refusal.code[0] == "4" else REJECTED


def remove_ours(_envelope: Envelope, header: Message) -> tuple[HeaderChange, ...]:
    return (HeaderChange("X-MSYS-API", 1, None),) if header.count("X-MSYS-API") else ()


def result(outcome: Outcome, **more: Any) -> MessageResult:
    message_result = MessageResult(
        outcome,
        injections=(injection(),),
        connection_context={"next": "2"},
        notes=("a note",),
        counts=("split",),
        printed=((3, "printed"),),
        remarks=("a remark",),
    )
    return message_result._replace(**more)


def test_a_plan_is_carried_out_recorded_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    services = Services(answer=result(PLAN))
    at_end = End(services)
    with caplog.at_level(logging.DEBUG):
        assert at_end.answer() == Milter.CONTINUE
    assert at_end.mta.calls == [("chgheader", "X-MSYS-API", 1, ""), ("replacebody", b"BODY\r\n")]
    assert services.recorded == [services.answer]
    assert services.counters.names == {"split": 1}
    assert services.counters.outcomes == [(PLAN, 0.5)]
    assert at_end.end.context == {"next": "2"}
    ((envelope, message, context),) = services.considered
    assert (envelope, message.body, context) == (ENVELOPE, b"body\r\n", {"mine": "1"})
    size = message.header_size + 6
    assert caplog.messages == [
        "Q1: a note",
        "Q1: a remark",
        "Q1: policy: printed",
        f"Q1: from=<a@s.test>, to=<b@r.test>, size={size}, ms=500.0, "
        "status=tracked, edits=1, links=1, skipped=0",
    ]


@pytest.mark.parametrize(
    ("outcome", "answer", "recorded"),
    [
        (Leave(Why.NO_LINK), Milter.CONTINUE, 1),
        (Plan(), Milter.CONTINUE, 1),
        (Discard("x"), Milter.DISCARD, 0),
        (Refuse("550", "5.7.1", "no"), REJECTED, 0),
        (Refuse("451", "4.7.1", "no"), LATER, 0),
    ],
)
def test_only_mail_that_goes_on_has_an_injection(outcome: Outcome, answer: int, recorded: int) -> None:
    services = Services(answer=result(outcome))
    at_end = End(services)
    assert at_end.answer() == answer
    assert len(services.recorded) == recorded
    assert at_end.mta.calls == []
    assert at_end.refusals == ([outcome] if isinstance(outcome, Refuse) else [])
    assert [each for each, _ in services.counters.outcomes] == [outcome]


@pytest.mark.parametrize("outcome", [Discard("x"), Refuse("550", "5.7.1", "no")])
def test_who_was_taken_out_is_recorded_whatever_becomes_of_the_mail(outcome: Outcome) -> None:
    services = Services(answer=result(outcome, suppressed=(injection(),)))
    End(services).answer()
    assert services.recorded == [services.answer]


def test_losing_an_event_costs_no_mail(caplog: pytest.LogCaptureFixture) -> None:
    services = Services(answer=result(PLAN), record_fails=True)
    assert End(services).answer() == Milter.CONTINUE
    assert services.counters.names == {"split": 1, "events-dropped": 1}
    assert "injection event not recorded, the mail goes on" in caplog.text


@pytest.mark.parametrize("fails", ["chgheader", "replacebody"])
def test_a_change_that_fails_is_answered_451(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    services = Services(answer=result(PLAN))
    at_end = End(services, fails)
    assert at_end.answer() == LATER
    assert at_end.refusals == [TRY_AGAIN]
    assert services.counters.names == {"failed-in-change": 1}
    assert (services.recorded, services.counters.outcomes) == ([], [])
    assert "reason=change-failed" in caplog.text
    assert "Broken pipe" in caplog.text


@pytest.mark.parametrize("where", ["consider", "client", "incoming", "envelope"])
@pytest.mark.parametrize("ours", [True, False])
def test_a_fault_of_ours_lets_the_mail_pass_without_what_must_not_leave(
    where: str, ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fault = KeyError("odd")
    services = Services(answer=fault if where == "consider" else result(PLAN))
    if ours:
        services.removable = remove_ours
    at_end = End(
        services,
        client_fault=fault if where == "client" else None,
        envelope=fault if where == "envelope" else ENVELOPE,
    )
    at_end.incoming.fault = fault if where == "incoming" else None
    assert at_end.answer() == Milter.CONTINUE
    assert at_end.mta.calls == ([("chgheader", "X-MSYS-API", 1, "")] if ours else [])
    assert services.recorded == []
    assert services.counters.names == {"failed-before-change": 1}
    (outcome,) = [each for each, _ in services.counters.outcomes]
    if ours:
        removed = (HeaderChange("X-MSYS-API", 1, None),)
        assert outcome == Plan(removed, why=Why.INTERNAL_ERROR, note="KeyError")
    else:
        assert outcome == Leave(Why.INTERNAL_ERROR, "KeyError")
    who = "NOQUEUE" if where == "envelope" else "Q1"
    line = (
        f"{who}: from=<a@s.test>, to=<b@r.test>: status=untouched, reason=internal-error, traceback follows"
    )
    assert line in caplog.messages


@pytest.mark.parametrize(
    ("header", "lost", "ours", "later"),
    [
        (b' {"bcc": ["c@r.test"]}', [], True, True),
        (b' {"bcc": ["c@r.test"]}', [], False, False),
        (b" {}", [], True, False),
        (b" {}", ["x-msys-API"], True, True),
        (b" {}", ["Subject"], True, False),
        (b" {}", ["x-msys-API"], False, False),
    ],
)
def test_copies_that_would_be_lost_make_it_a_temporary_failure(
    header: bytes, lost: list[str], ours: bool, later: bool
) -> None:
    services = Services(answer=KeyError("odd"))
    if ours:
        services.removable = remove_ours
    at_end = End(services, header=header)
    at_end.incoming.lost_fields = lost
    assert at_end.answer() == (LATER if later else Milter.CONTINUE)
    assert at_end.refusals == ([TRY_AGAIN] if later else [])
    assert at_end.mta.calls == ([("chgheader", "X-MSYS-API", 1, "")] if ours and not later else [])


def test_a_fault_in_telling_what_to_remove_lets_the_mail_pass() -> None:
    def raising(_envelope: Envelope, _header: Message) -> tuple[HeaderChange, ...]:
        raise ValueError

    services = Services(answer=KeyError("odd"), removable=raising)
    at_end = End(services, header=b' {"cc": []}')
    assert at_end.answer() == LATER, "copies may have been asked for"
    services = Services(answer=KeyError("odd"), removable=raising)
    at_end = End(services)
    assert at_end.answer() == Milter.CONTINUE
    assert at_end.mta.calls == []


def test_an_mta_that_lets_no_field_be_removed_is_asked_for_nothing() -> None:
    services = Services(answer=KeyError("odd"), removable=remove_ours)
    at_end = End(services, rights=NONE)
    assert at_end.answer() == Milter.CONTINUE
    assert at_end.mta.calls == []


def test_edits_that_do_not_fit_the_body_change_nothing() -> None:
    split = Plan((), (Edit(0, 99, b"", "link"),), recipients=(Recipient("c@r.test"),))
    at_end = End(Services(answer=result(split)))
    assert at_end.answer() == LATER, "the copies would be lost"
    at_end = End(Services(answer=result(Plan((), (Edit(0, 99, b"", "link"),)))))
    assert at_end.answer() == Milter.CONTINUE
    assert at_end.mta.calls == []


def test_no_body_is_replaced_that_was_not_kept_whole() -> None:
    services = Services(answer=result(PLAN), max_size=4)
    at_end = End(services)
    assert at_end.answer() == Milter.CONTINUE
    assert at_end.mta.calls == []
    assert services.counters.names == {"failed-before-change": 1, "split": 1}


def test_mail_that_passes_is_not_considered() -> None:
    services = Services(answer=result(PLAN))
    at_end = End(services)
    at_end.incoming.passing = Why.UNTRUSTED
    assert at_end.answer() == Milter.CONTINUE
    assert (services.considered, services.recorded) == ([], [])
    assert [each for each, _ in services.counters.outcomes] == [Leave(Why.UNTRUSTED)]


def test_mail_without_room_is_decided_by_its_header() -> None:
    services = Services(limit=17, answer=result(PLAN))
    at_end = End(services)
    assert at_end.answer() == Milter.CONTINUE
    assert services.considered == []
    assert services.without == [at_end.incoming.header()]
    assert [each for each, _ in services.counters.outcomes] == [Leave(Why.OVER_MEMORY)]
