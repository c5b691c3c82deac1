"""Events as bytes: what was written comes back, and nothing else is taken for an event."""

from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engagement.events import record as record_module
from engagement.events.model import Event, Hit, MessageEvent
from engagement.events.record import BadRecord, decode, encode
from engagement.links.model import Kind
from unit.event_samples import IDS, hit, injection


@pytest.mark.parametrize("kind", Kind)
def test_a_hit_comes_back(kind: Kind) -> None:
    event = hit(kind)
    assert decode(encode(event)) == event


def test_an_injection_comes_back() -> None:
    event = injection(transmission_id=2**64 - 1, transactional=True, outcome="no-link", rcpt_type="bcc")
    assert decode(encode(event)) == event


@settings(max_examples=60)
@given(st.text(st.characters(codec=None), max_size=20), st.text(max_size=20))
def test_any_text_survives(agent: str, subject: str) -> None:
    """Also lone surrogates, which stand for bytes that are no UTF-8."""
    for event in (hit(user_agent=agent), injection(subject=subject, context={"cust_a": agent})):
        assert decode(encode(event)) == event


BOUNCE = MessageEvent(
    "00000000-0000-7000-9000-000000000001", 1_793_001_722_000, "bounce", "mx1.example.org", "4XyZ12abcdz9s",
    7, b"m" * 16, "<1@example.org>", "host said: 550", "550", "5.1.1", 10, 1200, 3, "192.0.2.1",
    "mx.example.net", "203.0.113.9", "example.net", "esmtp", earlier=(("4Xy", 9),),
)  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_what_is_read_at_once_is_what_is_read_value_by_value(data: st.DataObject) -> None:
    """Of records as they are written, and of ones with other bytes in them."""
    events: tuple[Event, ...] = injection(context={"cust_a": "b"}), BOUNCE
    record = bytearray(encode(data.draw(st.sampled_from(events))))
    for place in data.draw(st.lists(st.integers(5, len(record) - 1), max_size=3)):
        record[place] = data.draw(st.integers(0, 255) | st.sampled_from((0xC0, 0xC2, 0xC4, 0xCB, 0xD9, 0xED)))

    def read() -> object:
        try:
            return decode(bytes(record))
        except BadRecord as error:
            return str(error)

    at_once = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_module, "_COMMON", {})
        assert read() == at_once


TEXTS = st.text(st.characters(codec=None), max_size=60) | st.sampled_from(
    ("a" * 255, "a" * 256, "a" * 70_000)
)


@settings(max_examples=80, deadline=None)
@given(
    values=st.tuples(
        TEXTS,
        st.sampled_from(Kind),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=400) | st.just(bytes(70_000)),
        *[TEXTS] * 6,
        st.booleans(),
        st.booleans(),
    )
)
def test_a_hit_is_written_as_msgpack_writes_it(values: tuple[Any, ...]) -> None:
    """Both with lone surrogates and without: old segments and new ones are the same bytes."""
    for hits, begin in ((1, (1, 1)), (41, (2, 1))):
        written = encode(Hit(*values, 0, hits))  # type: ignore[call-arg] # takes the values for many
        rest = () if hits == 1 else (hits,)
        assert written == msgpack.packb((*begin, *values, *rest), unicode_errors="surrogatepass")


def test_a_hit_shows_all_but_its_payload() -> None:
    shown = repr(hit(packed=b"whose"))
    assert "whose" not in shown
    assert "client_address='203.0.113.9'" in shown


@settings(max_examples=100)
@given(st.binary(max_size=80))
def test_chance_bytes_are_no_event(data: bytes) -> None:
    with pytest.raises(BadRecord):
        decode(data)


@pytest.mark.parametrize("event", [hit(), injection()])
def test_a_cut_or_lengthened_record_is_no_event(event: Event) -> None:
    data = encode(event)
    for cut in range(len(data)):
        with pytest.raises(BadRecord):
            decode(data[:cut])
    with pytest.raises(BadRecord):
        decode(data + b"\0")


@pytest.mark.parametrize("event", [hit(), injection()])
def test_a_changed_byte_gives_an_event_or_bad_record(event: Event) -> None:
    data = encode(event)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x81
        try:
            decode(bytes(changed))
        except BadRecord:
            continue


@pytest.mark.parametrize("place", range(14))
def test_every_value_of_a_hit_has_its_type(place: int) -> None:
    values = msgpack.unpackb(encode(hit()))
    values[place] = None
    with pytest.raises(BadRecord):
        decode(msgpack.packb(values))


@pytest.mark.parametrize("place", range(24))
def test_every_value_of_an_injection_has_its_type(place: int) -> None:
    values = msgpack.unpackb(encode(injection()))
    values[place] = None
    with pytest.raises(BadRecord):
        decode(msgpack.packb(values))


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (replace(hit(), at_ms=-1), "time"),
        (replace(hit(), at_ms=1 << 48), "time"),
        (replace(hit(), id="17"), "UUID"),
        (injection()._replace(at_ms=1 << 48), "time"),
        (injection()._replace(transmission_id=-1), "number"),
        (injection()._replace(size=-1), "number"),
        (injection()._replace(tags=(1,)), "tag"),  # type: ignore[arg-type] # a wrong value on purpose
        (injection()._replace(context={"cust_a": 1}), "context"),  # type: ignore[dict-item] # a wrong value on purpose
    ],
)
def test_values_out_of_range_are_refused(event: Event, why: str) -> None:
    with pytest.raises(BadRecord, match=why):
        decode(encode(event))


@pytest.mark.parametrize("event", [hit(), injection()])
def test_text_is_not_taken_for_bytes(event: Event) -> None:
    values = msgpack.unpackb(encode(event))
    place = next(place for place, value in enumerate(values) if isinstance(value, bytes))
    values[place] = "cGF5bG9hZA=="  # base64
    with pytest.raises(BadRecord, match=r"^(packed|message_id): "):
        decode(msgpack.packb(values))


def test_a_hit_of_version_1_stands_for_one() -> None:
    values = msgpack.unpackb(encode(hit()))
    with pytest.raises(BadRecord, match="13 values, not 12"):
        decode(msgpack.packb([*values, 2]))
    for hits in (0, 1, -1, 1 << 31, True, 2.0):
        with pytest.raises(BadRecord, match="hits"):
            decode(msgpack.packb([2, *values[1:], hits]))


def test_a_later_version_is_not_guessed_at() -> None:
    values = msgpack.unpackb(encode(hit()))
    values[0] = 5
    with pytest.raises(BadRecord, match="version 5"):
        decode(msgpack.packb(values))


def test_records_of_version_1_are_read_for_ever() -> None:
    """Bytes as the first release wrote them; this must never be changed to make a test pass."""
    event_id = "01a1773b-1284-7000-8000-ccd0d4d8dce4"
    old = msgpack.packb(
        [
            1,
            1,
            event_id,
            1,
            1793001722373,
            b"payload",
            "",
            "203.0.113.9",
            "agent",
            "nb",
            "GET",
            "host",
            False,
            True,
        ]
    )
    event = decode(old)
    assert encode(event) == old
    assert (event.id, event.at_ms) == (event_id, 1793001722373)
    assert IDS.next(event.at_ms) != event_id
