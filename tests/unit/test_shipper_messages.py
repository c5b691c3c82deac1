"""Events of logs find their messages, whoever comes first (engagement.shipper.messages)."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.events.ids import reported_id
from engagement.events.model import Event, Injection, MessageEvent, MessageName, names_of, recipient_mark
from engagement.events.record import encode
from engagement.events.rows import rows
from engagement.links.model import PSEUDONYM_DOMAIN
from engagement.shipper import messages
from engagement.shipper.loop import Shipper
from engagement.shipper.messages import DAY_MS, MessageMatcher, chosen, completed
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Enough, Query, StoreError
from engagement.stores.sqlite.store import SqliteStore
from unit.event_samples import AT
from unit.event_samples import injection as any_injection

NODE = "mail.example.org"
NUMBERS = itertools.count(1)


def injection(queue_id: str = "AAAA1", recipient: str = "ida@example.net", **changes: Any) -> Injection:
    number = next(NUMBERS)
    values: dict[str, Any] = {
        "node_name": NODE,
        "queue_id": queue_id,
        "recipient": recipient,
        "recipient_mark": recipient_mark(NODE, queue_id, recipient),
        "message_id_header": "<1@example.org>",
        "message_id": number.to_bytes(16, "big"),
        "id": reported_id(AT, str(number)),
        "at_ms": AT,
    }
    return any_injection()._replace(**(values | changes))


def event(queue_id: str = "AAAA1", recipient: str = "ida@example.net", **changes: Any) -> MessageEvent:
    at_ms = changes.pop("at_ms", AT + 1000)
    made = MessageEvent(
        reported_id(at_ms, queue_id, recipient, str(changes)), at_ms, "delivery", NODE, queue_id,
        recipient_mark(NODE, queue_id, recipient) if recipient else 0,
    )  # fmt: skip
    return made._replace(**changes)


def known(*injections: Injection) -> dict[MessageName, list[Injection]]:
    found: dict[MessageName, list[Injection]] = {}
    for each in injections:
        for name in names_of(each):
            found.setdefault(name, []).append(each)
    return found


IDA, BOB = (
    injection(),
    injection(recipient="bob@example.net", recipient_mark=recipient_mark(NODE, "AAAA1", "bob@example.net")),
)


RECIPIENTS = ("ida@example.net", "bob@example.net")


def test_the_recipients_of_one_queue_id_are_told_apart() -> None:
    assert chosen(event(), known(IDA, BOB)) == IDA
    assert chosen(event(recipient="bob@example.net"), known(IDA, BOB)) == BOB
    assert chosen(event(recipient="eve@example.net"), known(IDA, BOB)) is None
    assert chosen(event(recipient=""), known(IDA, BOB)) is None
    assert chosen(event(recipient=""), known(BOB)) == BOB
    assert chosen(event("BBBB2"), known(IDA, BOB)) is None


def test_the_newest_counts_that_is_old_enough_and_not_too_old() -> None:
    times = (-8 * DAY_MS, -7 * DAY_MS, -5000, 60_000, 70_000)
    several = [injection(at_ms=AT + at) for at in times]
    assert chosen(event(at_ms=AT), known(*several)) == several[3]
    assert chosen(event(at_ms=AT), known(*several[:3])) == several[2]
    assert chosen(event(at_ms=AT), known(several[0], several[4])) is None
    assert chosen(event(at_ms=AT), known(*several[:2])) == several[1]


def test_the_way_leads_to_the_message() -> None:
    """The filter saw the mail before a content filter, or at its hop: both are found."""
    path = (("BBBB2", recipient_mark(NODE, "BBBB2", "ida@example.net")), ("AAAA1", IDA.recipient_mark))
    last = event("CCCC3", earlier=path)
    assert chosen(last, known(IDA, BOB)) == IDA
    second = injection("BBBB2")
    assert chosen(last, known(IDA, second)) == second
    third = injection("CCCC3")
    assert chosen(last, known(IDA, second, third)) == third


def test_the_message_id_leads_to_the_message_of_the_recipient() -> None:
    last = event("CCCC3", message_id_header="<1@example.org>")
    assert chosen(last, known(IDA, BOB)) == IDA
    assert chosen(last, known(BOB)) is None
    nameless = injection(recipient="", recipient_mark=7)
    assert chosen(last, known(nameless)) == nameless
    assert chosen(last, known(nameless, injection(recipient="", recipient_mark=8))) is None
    assert chosen(last, known(injection(message_id_header="<2@example.org>"))) is None


def test_a_mail_that_came_back_leads_to_the_message() -> None:
    def back(recipient: str, **changes: Any) -> MessageEvent:
        mark = recipient_mark("", "", recipient) if recipient else 0
        values: dict[str, Any] = {
            "queue_id": "",
            "node_name": "",
            "recipient_mark": mark,
            "at_ms": AT + 30 * DAY_MS,
        }
        return event(message_id_header="<1@example.org>", type="out_of_band", **(values | changes))

    assert chosen(back("ida@example.net"), known(IDA, BOB)) == IDA
    assert chosen(back("other@example.net"), known(IDA, BOB)) is None
    assert chosen(back("other@example.net"), known(IDA)) == IDA
    assert chosen(back(""), known(IDA)) == IDA
    assert chosen(back("ida@example.net", message_id=BOB.message_id), known(IDA, BOB)) == BOB
    assert chosen(back("ida@example.net", message_id=b"x" * 16), known(IDA, BOB)) is None
    assert chosen(back("ida@example.net", at_ms=AT + 61 * DAY_MS), known(IDA)) is None


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryStore | SqliteStore]:
    made = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "events.db", writing=True)
    yield made
    made.close()


def spooled(directory: Path, *events: Event) -> None:
    writer = SpoolWriter(directory)
    for each in events:
        assert writer.append(encode(each))
    writer.close()


def shown(store: MemoryStore | SqliteStore, kind: str = "delivery") -> list[tuple[str, str]]:
    return [(each["event_id"], each["rcpt_to"]) for each in store.find(Query(types=(kind,)))]


@pytest.mark.parametrize("order", ["injection first", "event first", "at once", "at once, event first"])
def test_whoever_comes_first(tmp_path: Path, store: MemoryStore | SqliteStore, order: str) -> None:
    outcome = event()
    both: list[Event] = [IDA, BOB, outcome]
    parts: dict[str, Iterable[list[Event]]] = {
        "injection first": ([IDA, BOB], [outcome]),
        "event first": ([outcome], [IDA, BOB]),
        "at once": (both,),
        "at once, event first": (both[::-1],),
    }
    for part in parts[order]:
        spooled(tmp_path / "spool", *part)
        assert Shipper(tmp_path / "spool", store).drain()
    assert shown(store) == [(outcome.id, "ida@example.net")]
    assert store.waiting(names_of(outcome)) == ()
    (row,) = store.find(Query(types=("delivery",)))
    assert (row["routing_domain"], row["message_id"]) == ("example.net", IDA.message_id.hex())


def test_an_event_told_twice_is_one(tmp_path: Path, store: MemoryStore | SqliteStore) -> None:
    for part in ([event()], [event()], [IDA], [event()], [IDA, event()]):
        spooled(tmp_path / "spool", *part)
        assert Shipper(tmp_path / "spool", store).drain()
    assert shown(store) == [(event().id, "ida@example.net")]
    assert store.waiting(names_of(event())) == ()


def test_an_event_without_a_message_waits_and_is_not_shown(
    tmp_path: Path, store: MemoryStore | SqliteStore
) -> None:
    spooled(tmp_path / "spool", event(), BOB)
    assert Shipper(tmp_path / "spool", store).drain()
    assert shown(store) == []
    assert store.waiting(names_of(event())) == (event(),)


def test_a_message_of_another_shipper_is_found_a_little_later(
    store: MemoryStore | SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other looked for waiting events just before this one came."""
    monkeypatch.setattr(store, "newest_injection", lambda: None)  # as of a store that others write to
    monkeypatch.setattr(messages, "_LOOKS", (0.0, 0.0, 3600.0))
    matcher = MessageMatcher(store, b"", lambda: AT / 1000)
    assert matcher.matched([event()], ()) == []
    matcher.look_again()
    assert shown(store) == []
    store.add(list(rows(IDA)))
    matcher.look_again()
    assert shown(store) == [(event().id, "ida@example.net")]
    assert store.waiting(names_of(event())) == ()


def test_a_message_that_another_shipper_brings_meanwhile_is_found_at_once(
    store: MemoryStore | SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other asked what waits just before this event did, and wrote its message just after."""
    monkeypatch.setattr(store, "newest_injection", lambda: None)
    put = store.put_waiting

    def put_while_another_adds(events: list[MessageEvent]) -> None:
        put(events)
        store.add(list(rows(IDA)))

    monkeypatch.setattr(store, "put_waiting", put_while_another_adds)
    matcher = MessageMatcher(store, b"", lambda: AT / 1000)
    (match,) = matcher.matched([event()], ())
    assert (match.event, match.waits) == (event(), True)
    store.add([match.row])
    matcher.done([match])
    assert shown(store) == [(event().id, "ida@example.net")]
    assert store.waiting(names_of(event())) == ()


class Unaware(MemoryStore):
    """A store that does not know how new its injections are."""

    def newest_injection(self) -> int | None:
        return None


_SENT = st.lists(
    st.builds(
        lambda queue_id, name, at: injection(queue_id, f"{name}@example.net", at_ms=AT + at),
        st.sampled_from(("AAAA1", "BBBB2", "")),
        st.sampled_from(("ida", "bob")),
        st.sampled_from((-8 * DAY_MS, -2000, -1000, 0, 1000, 61_000, 62_000)),
    ),
    max_size=6,
)


@settings(max_examples=200)
@given(_SENT, _SENT, st.sampled_from(("AAAA1", "BBBB2", "")), st.sampled_from(("ida@example.net", "")))
def test_of_a_batch_an_event_takes_the_message_that_the_store_would_have_named(
    stored: list[Injection], sent: list[Injection], queue_id: str, recipient: str
) -> None:
    """That a look-up is spared changes nothing, whatever came earlier or later (`newest_injection`)."""

    def match(knows: bool) -> list[tuple[str, str]]:
        store = MemoryStore() if knows else Unaware()
        store.add([row for each in stored for row in rows(each)])
        found = MessageMatcher(store, b"", lambda: AT / 1000).matched(
            [event(queue_id, recipient, message_id_header="<1@example.org>")], sent
        )
        return [(each.event.id, each.row.message_id) for each in found]

    assert match(True) == match(False)


class Impatient(MemoryStore):
    """A store that looks for no older injection once it was told that it has enough."""

    def injections(
        self, names: Iterable[MessageName], enough: Enough | None = None, since_ms: int = 0
    ) -> Mapping[MessageName, tuple[Injection, ...]]:
        answer = {}
        for name, every in super().injections(names).items():
            found = tuple(each for each in every if each.at_ms >= since_ms)
            stops = (end for end in range(1, len(found)) if enough and enough(name, found[:end]))
            answer[name] = found[: next(stops, len(found))]
        return answer


_EVENTS = st.lists(
    st.builds(
        lambda queue_id, name, kind: event(queue_id, name, type=kind, message_id_header="<1@example.org>"),
        st.sampled_from(("AAAA1", "BBBB2", "")),
        st.sampled_from(("ida@example.net", "bob@example.net", "")),
        st.sampled_from(("delivery", "delay")),
    ),
    max_size=4,
)


@settings(max_examples=200)
@given(_SENT, _SENT, _EVENTS)
def test_looking_for_no_older_messages_than_needed_finds_the_same(
    stored: list[Injection], sent: list[Injection], events: list[MessageEvent]
) -> None:
    def match(store: MemoryStore) -> list[tuple[str, str]]:
        store.add([row for each in stored for row in rows(each)])
        found = MessageMatcher(store, b"", lambda: AT / 1000).matched(events, sent)
        return [(each.event.id, each.row.message_id) for each in found]

    assert match(MemoryStore()) == match(Impatient())


def test_an_event_of_a_message_of_its_batch_asks_for_no_other(
    store: MemoryStore | SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(list(rows(injection("BBBB2", at_ms=AT - 1))))
    requested: list[MessageName] = []

    def injections(names: Iterable[MessageName], *_: object) -> dict[MessageName, tuple[Injection, ...]]:
        requested.extend(names)
        return {}

    monkeypatch.setattr(store, "injections", injections)
    matcher = MessageMatcher(store, b"", lambda: AT / 1000)
    (match,) = matcher.matched([event()], [IDA])
    assert (match.row.message_id, requested) == (IDA.message_id.hex(), [])
    older = injection("CCCC3", at_ms=AT - 1)
    assert [each.row.message_id for each in matcher.matched([event("CCCC3")], [older])] == [
        older.message_id.hex()
    ]
    assert requested == [MessageName("queue_id", IDA.node_name, "CCCC3")]


def test_a_store_that_fails_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each call of the store in turn."""
    for broken in ("injections", "waiting", "put_waiting", "drop_waiting", "add"):
        store = MemoryStore()
        spool = tmp_path / broken

        def fails(*_: object) -> None:
            raise StoreError("down")

        for part in ([event()], [IDA, BOB], [event(recipient="bob@example.net")]):
            spooled(spool, *part)
            with monkeypatch.context() as patch:
                patch.setattr(store, broken, fails)
                Shipper(spool, store).drain()
            assert Shipper(spool, store).drain()
        assert sorted(who for _, who in shown(store)) == ["bob@example.net", "ida@example.net"], broken
        assert store.waiting(names_of(event())) == ()


def test_what_waits_too_long_is_given_up(store: MemoryStore | SqliteStore) -> None:
    store.put_waiting([event(), event("BBBB2", at_ms=AT + 2 * DAY_MS)])
    MessageMatcher(store, b"", lambda: AT / 1000 + 8 * 86_400).look_again()
    assert store.waiting([*names_of(event()), *names_of(event("BBBB2"))]) == (
        event("BBBB2", at_ms=AT + 2 * DAY_MS),
    )


def test_injections_ask_only_where_something_can_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    sizes: list[int] = []
    waiting = store.waiting
    monkeypatch.setattr(store, "waiting", lambda names: sizes.append(len(list(names))) or waiting(names))
    matcher = MessageMatcher(store, b"", lambda: AT / 1000)
    matcher.matched([], [IDA])
    monkeypatch.setattr(messages, "_UNSURE_SECONDS", -1)
    matcher.matched([], [IDA])
    assert sizes == [2]
    matcher.matched([event("BBBB2")], [IDA])
    assert sizes == [2]
    matcher.matched([], [injection("BBBB2", message_id_header="")])
    assert sizes == [2, 1]
    matcher.matched([], [IDA._replace(at_ms=AT - DAY_MS)])
    assert sizes == [2, 1, 2]


def test_recipients_of_one_queue_id_whose_messages_come_one_after_the_other(
    store: MemoryStore | SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their outcomes came before; the first message takes its own and leaves the other's."""
    monkeypatch.setattr(messages, "_UNSURE_SECONDS", -1)
    matcher = MessageMatcher(store, b"", lambda: AT / 1000)
    outcomes = [event(), event(recipient="bob@example.net")]
    assert matcher.matched(outcomes, ()) == []
    for each in (IDA, BOB):
        matches = matcher.matched([], [each])
        store.add([*rows(each), *(match.row for match in matches)])
        matcher.done(matches)
    assert sorted(shown(store)) == sorted(zip([each.id for each in outcomes], RECIPIENTS, strict=True))


def test_an_outcome_is_found_whose_name_was_forgotten_for_others(
    store: MemoryStore | SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes of mail that is not tracked wait too, and in vain."""
    monkeypatch.setattr(messages, "_REMEMBERED", 3)
    matcher = MessageMatcher(store, b"", lambda: AT / 1000)
    monkeypatch.setattr(matcher, "_is_unsure", lambda: False)  # as long after the start
    assert matcher.matched([event()], ()) == []
    assert matcher.matched([event(f"BBBB{number}") for number in range(3)], ()) == []
    for each in (injection("BBBB2", message_id_header=""), IDA):
        matches = matcher.matched([], [each])
        store.add([*rows(each), *(match.row for match in matches)])
        matcher.done(matches)
    assert event().id in [name for name, _ in shown(store)]


def test_a_recipient_that_the_mode_leaves_out_stays_out(
    tmp_path: Path, store: MemoryStore | SqliteStore
) -> None:
    secret = injection(recipient="")._replace(recipient_mark=IDA.recipient_mark)
    spooled(tmp_path / "spool", secret, event())
    assert Shipper(tmp_path / "spool", store).drain()
    (row,) = store.find(Query(types=("delivery",)))
    assert not {"rcpt_to", "raw_rcpt_to", "routing_domain", "recipient_domain"} & set(row)
    assert row["message_id"] == secret.message_id.hex()


def test_any_recipient_has_a_mark() -> None:
    """Also one of half a surrogate pair, as text with bytes that are no UTF-8 may hold."""
    for text in ("\ud800@example.net", "\udcff@example.net", "a\0b", "", "<>"):
        assert 0 < recipient_mark(text, text, text) < 65_536


def test_a_fault_of_ours_in_one_event_stops_no_other(
    tmp_path: Path,
    store: MemoryStore | SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail_for_bob(outcome: MessageEvent, found: Injection) -> MessageEvent:
        if found == BOB:
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr(messages, "completed", fail_for_bob)
    odd = event("AAAA1", BOB.recipient)
    spooled(tmp_path / "spool", IDA, BOB, odd, event())
    assert Shipper(tmp_path / "spool", store).drain()
    assert shown(store) == [(event().id, "ida@example.net")]
    assert [each.id for each in store.waiting(names_of(odd))] == [odd.id]
    outcome = f"event {odd.id}: ZeroDivisionError while its message was looked for"
    assert {record.getMessage() for record in caplog.records} == {outcome}


@pytest.mark.parametrize(
    ("recipient", "routed", "domain"),
    [
        ("ida@example.net", "", "example.net"),
        ("ida@example.net", "mx.example.org", "mx.example.org"),
        ("", "", ""),
        (f"0a1b{PSEUDONYM_DOMAIN}", "", ""),
        (f"0a1b{PSEUDONYM_DOMAIN}", "mx.example.org", "mx.example.org"),
    ],
)
def test_the_domain_that_mail_went_to(recipient: str, routed: str, domain: str) -> None:
    outcome = completed(event(routing_domain=routed), injection(recipient=recipient))
    assert outcome == event(routing_domain=routed)._replace(routing_domain=domain, id=outcome.id)
