"""The hop's mark: ours, for this message, in its time; or nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.links.keys import Ring
from smtpapi.envelope import Client
from smtpapi.split import Entry, seal, unseal

RING = Ring(()).rotated(bytes(range(32)), 0)
OTHER = Ring(()).rotated(bytes(range(1, 33)), 0)
MESSAGE = b"digest of the message"
ENTRY = Entry(
    Client("192.0.2.7", "mx", "news@example.test", "127.0.0.1", 25, "smtpd"), 1_000_000, "a@example.test"
)
DAY = 86_400

texts = st.text(max_size=40)


@given(
    client=st.builds(Client, texts, texts, texts, texts, st.none() | st.integers(1, 65535), texts),
    first=texts,
    signatures=st.integers(0, 99),
    named_twice=st.lists(texts, max_size=20).map(tuple),
    context=st.dictionaries(texts, texts, max_size=9),
)
def test_what_is_sealed_comes_back(
    client: Client, first: str, signatures: int, named_twice: tuple[str, ...], context: dict[str, str]
) -> None:
    entry = Entry(client, 1_000_000, first, signatures, "4XYZ", named_twice, context)
    value = seal(entry, RING.signing, MESSAGE).encode()
    assert unseal(value, RING, MESSAGE, 1_000_060) == entry
    assert max(map(len, value.split(b"\n"))) <= 76


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_no_changed_mark_is_honoured(at: int, bit: int) -> None:
    value = bytearray(seal(ENTRY, RING.signing, MESSAGE).encode())
    at %= len(value)
    value[at] ^= 1 << bit
    opened = unseal(bytes(value), RING, MESSAGE, 1_000_060)
    assert opened is None or (opened == ENTRY and chr(value[at]).isspace()), "only white space may differ"


@given(st.binary(max_size=300))
def test_any_bytes_are_no_mark_and_no_error(value: bytes) -> None:
    assert unseal(value, RING, MESSAGE, 0) is None


def test_another_message_another_key_or_another_time_is_no_mark() -> None:
    value = seal(ENTRY, RING.signing, MESSAGE).encode()
    assert unseal(value, RING, MESSAGE, ENTRY.at) == ENTRY
    assert unseal(value, RING, MESSAGE + b".", ENTRY.at) is None
    assert unseal(value, OTHER, MESSAGE, ENTRY.at) is None
    assert unseal(value, RING, MESSAGE, ENTRY.at + 11 * DAY) is None
    assert unseal(value, RING, MESSAGE, ENTRY.at - 2 * DAY) is None


@pytest.mark.parametrize("fold", ["\n\t", "\r\n ", " ", "\n    "])
def test_folds_of_any_mta_are_read(fold: str) -> None:
    value = seal(ENTRY, RING.signing, MESSAGE).replace("\n ", fold).encode()
    assert unseal(value, RING, MESSAGE, ENTRY.at) == ENTRY


def test_a_mark_survives_a_rotation_and_dies_with_its_key() -> None:
    value = seal(ENTRY, RING.signing, MESSAGE).encode()
    rotated = RING.rotated(bytes(range(2, 34)), 1)
    assert unseal(value, rotated, MESSAGE, ENTRY.at) == ENTRY
    assert unseal(value, rotated.revoked(1), MESSAGE, ENTRY.at) is None


def test_the_recipient_cannot_be_read_in_the_mark() -> None:
    entry = replace(ENTRY, named_twice=("hidden@example.test",))
    assert b"hidden" not in seal(entry, RING.signing, MESSAGE).encode()
