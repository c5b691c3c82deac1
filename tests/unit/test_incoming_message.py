"""What is held of a message while it comes in (smtpapi.mta.incoming_message)."""

import hashlib

import pytest

from smtpapi.model.message import Field, HashedBody, Message
from smtpapi.model.outcome import Why
from smtpapi.mta import heap
from smtpapi.mta.incoming_message import IncomingMessage
from smtpapi.pipeline.pass_through import Reads
from unit.incoming_samples import Services

CHUNK = 65_536


def coming(services: Services) -> IncomingMessage:
    return IncomingMessage(services.as_services)


def asking(answer: Reads, questions: list[Message] | None = None) -> "Ask":
    return Ask(answer, questions if questions is not None else [])


class Ask:
    """Says what later steps read; notes the headers that it was asked with."""

    def __init__(self, answer: Reads, questions: list[Message]) -> None:
        self._answer, self._questions = answer, questions

    def __call__(self, header: Message) -> Reads:
        self._questions.append(header)
        return self._answer


@pytest.mark.parametrize(("exact", "value"), [(True, b"x"), (False, b" x")])
def test_a_field_has_the_octets_behind_its_colon(exact: bool, value: bytes) -> None:
    message = coming(Services())
    message.add_field("Subject", b"x", exact)
    assert message.header() == Message((Field("Subject", value),), b"")


def test_a_message_is_what_came() -> None:
    services = Services()
    message = coming(services)
    message.add_field("Subject", b" x", True)
    message.add_chunk(b"one\r\n", asking(Reads.NOTHING))
    message.add_chunk(b"two\r\n", asking(Reads.NOTHING))
    assert services.taken() == 10
    assert message.take_for_answer()
    assert services.taken() == 30
    assert message.message() == Message((Field("Subject", b" x"),), b"one\r\ntwo\r\n")
    assert message.message().body == b"", "it is moved, not copied"
    assert (message.body_size, services.taken()) == (10, 30)
    message.release()
    message.release()
    assert services.taken() == 0


def test_up_to_a_chunk_nobody_is_asked_who_reads_the_body() -> None:
    message, questions = coming(Services()), list[Message]()
    message.add_field("Subject", b" x", True)
    ask = asking(Reads.ALL, questions)
    message.add_chunk(bytes(CHUNK), ask)
    assert questions == []
    message.add_chunk(b"x", ask)
    message.add_chunk(b"x", ask)
    assert questions == [message.header()]
    assert len(message.message().body) == CHUNK + 2


def test_if_asking_fails_all_of_it_is_held() -> None:
    message = coming(Services())

    def raising(_header: Message) -> Reads:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        message.add_chunk(bytes(CHUNK + 1), raising)
    message.add_chunk(b"x", raising)
    assert message.message().body == b"x"


def test_a_body_that_nothing_reads_is_hashed_alone() -> None:
    services = Services()
    message = coming(services)
    pieces = [bytes([number]) * CHUNK for number in range(4)]
    for piece in pieces:
        message.add_chunk(piece, asking(Reads.NOTHING))
    assert services.taken() == 0
    assert message.take_for_answer()
    assert services.taken() == 0
    digest = hashlib.sha256(b"".join(pieces)).digest()
    assert message.message() == Message((), b"", hashed=HashedBody(4 * CHUNK, digest))


@pytest.mark.parametrize(("reads", "held"), [(Reads.ALL, 101_001), (Reads.WHAT_FITS, 0)])
def test_of_a_body_that_is_too_large_one_octet_more_is_seen(reads: Reads, held: int) -> None:
    services = Services(max_size=101_000)
    message = coming(services)
    for _ in range(4):
        message.add_chunk(b"x" * 50_000, asking(reads))
    assert message.body_size == 200_000
    assert services.taken() == held
    made = message.message()
    assert len(made.body) == held
    if held == 0:
        assert made.hashed == HashedBody(101_001, hashlib.sha256(b"x" * 101_001).digest())


@pytest.mark.parametrize("size", [100_999, 101_000])
def test_a_body_that_just_fits_is_held(size: int) -> None:
    message = coming(Services(max_size=101_000))
    message.add_chunk(b"x" * 90_000, asking(Reads.WHAT_FITS))
    message.add_chunk(b"x" * (size - 90_000), asking(Reads.WHAT_FITS))
    assert len(message.message().body) == size


def test_mail_that_passes_is_counted_and_not_held() -> None:
    services = Services()
    message = coming(services)
    message.passing = Why.UNTRUSTED
    message.add_field("Subject", b" x", True)
    message.add_field("X-MSYS-API", b" {}", True)
    message.add_chunk(b"body", asking(Reads.ALL))
    assert message.header() == Message((), b"")
    assert (message.header_size, message.body_size) == (len("Subject x---X-MSYS-API {}---"), 4)
    assert services.taken() == 0


def test_a_body_without_room_is_dropped_and_the_fields_stay() -> None:
    services = Services(limit=100)
    message = coming(services)
    message.add_field("Subject", b" x", True)
    message.add_chunk(b"x" * 60, asking(Reads.ALL))
    message.add_chunk(b"x" * 41, asking(Reads.ALL))
    assert message.no_room
    assert services.taken() == 0
    message.add_chunk(b"x", asking(Reads.ALL))
    assert not message.take_for_answer()
    assert message.message() == Message((Field("Subject", b" x"),), b"")
    assert message.body_size == 102
    message.add_field("X-MSYS-API", b" {}", True)
    message.add_field("Received", b" by x", True)
    message.add_field("Subject", b" y", True)
    assert [field.name for field in message.fields] == ["Subject", "X-MSYS-API", "Received"]


@pytest.mark.parametrize(("room", "taken"), [(30, True), (29, False)])
def test_an_answer_needs_the_body_three_times(room: int, taken: bool) -> None:
    services = Services(limit=room)
    message = coming(services)
    message.add_chunk(b"x" * 10, asking(Reads.ALL))
    assert message.take_for_answer() is taken
    assert message.no_room is not taken
    assert services.taken() == (30 if taken else 0)


def test_long_headers_take_memory_too() -> None:
    services = Services(limit=3 * 65_536)
    message = coming(services)
    message.add_field("Received", b" by x", True)
    while message.header_size <= 65_536:
        assert services.taken() == 0
        message.add_field("X-A", b"x" * 997, True)
    assert message.header_size == 51 * 1300 + len("Received by x") + 300
    for _ in range(3):
        assert not message.no_room
        before = services.taken()
        while services.taken() == before and not message.no_room:
            message.add_field("X-A", b"x" * 997, True)
    assert message.no_room
    assert [field.name for field in message.fields] == ["Received"]
    assert services.taken() == 0


@pytest.mark.parametrize(("size", "trimmed"), [(16_777_216, 0), (16_777_217, 1)])
def test_what_large_mail_took_goes_back_to_the_system(
    monkeypatch: pytest.MonkeyPatch, size: int, trimmed: int
) -> None:
    trims: list[None] = []
    monkeypatch.setattr(heap, "trim", lambda: trims.append(None))
    message = coming(Services())
    message.add_chunk(bytes(size), asking(Reads.ALL))
    message.release()
    message.release()
    assert len(trims) == trimmed
