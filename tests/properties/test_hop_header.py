"""The hop's mark: ours, for this message, in its time; or nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.links.keys import Ring
from smtpapi.hop.split_header import FirstPass, Unopened, seal, signature_id, unseal
from smtpapi.model.envelope import Client

RING = Ring(()).rotated(bytes(range(32)), 0)
OTHER = Ring(()).rotated(bytes(range(1, 33)), 0)
ENTRY = FirstPass(
    Client("192.0.2.7", "mx", "news@example.test", "127.0.0.1", 25, "smtpd", "client"),
    at=1_000_000,
    issued=999_999,
    first="a@example.test",
    bound=(b"i" * 16, b"", b"b" * 32),
    fingerprint=b"f" * 32,
)
DAY = 86_400

texts = st.text(max_size=40)
octets = st.binary(max_size=40)


@given(
    client=st.builds(Client, texts, texts, texts, texts, st.none() | st.integers(1, 65535), texts, texts),
    first=texts,
    bound=st.tuples(octets, octets, octets),
    signatures=st.lists(octets, max_size=9).map(tuple),
    directive=st.binary(max_size=900),
    named_twice=st.lists(texts, max_size=20).map(tuple),
    context=st.dictionaries(texts, texts, max_size=9),
)
def test_what_is_sealed_comes_back(
    client: Client,
    first: str,
    bound: tuple[bytes, bytes, bytes],
    signatures: tuple[bytes, ...],
    directive: bytes,
    named_twice: tuple[str, ...],
    context: dict[str, str],
) -> None:
    entry = FirstPass(
        client, 1_000_000, 7, first, bound, b"f" * 32, signatures, directive, named_twice, context, {}
    )
    value = seal(entry, RING.signing).encode()
    assert unseal(value, RING, 1_000_060) == (entry, RING.signing)
    assert max(map(len, value.split(b"\n"))) <= 76


def test_escaped_octets_of_addresses_survive() -> None:
    entry = replace(ENTRY, first="\udcff@example.test")
    assert unseal(seal(entry, RING.signing).encode(), RING, ENTRY.at) == (entry, RING.signing)


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_no_changed_mark_is_honoured(at: int, bit: int) -> None:
    value = bytearray(seal(ENTRY, RING.signing).encode())
    at %= len(value)
    value[at] ^= 1 << bit
    opened = unseal(bytes(value), RING, 1_000_060)
    if not isinstance(opened, Unopened):
        assert opened[0] == ENTRY
        assert chr(value[at]).isspace(), "only white space may differ"


@given(st.binary(max_size=300))
def test_any_bytes_are_no_mark_and_no_error(value: bytes) -> None:
    assert isinstance(unseal(value, RING, 0), Unopened)


def test_another_key_or_another_time_is_no_mark() -> None:
    value = seal(ENTRY, RING.signing).encode()
    assert unseal(value, RING, ENTRY.at) == (ENTRY, RING.signing)
    assert unseal(value, OTHER, ENTRY.at) is Unopened.NOT_OURS
    assert unseal(value, RING, ENTRY.at + 11 * DAY) is Unopened.TOO_OLD
    assert unseal(value, RING, ENTRY.at - 2 * DAY) is Unopened.TOO_OLD


@pytest.mark.parametrize("fold", ["\n\t", "\r\n ", " ", "\n    "])
def test_folds_of_any_mta_are_read(fold: str) -> None:
    value = seal(ENTRY, RING.signing).replace("\n ", fold).encode()
    assert unseal(value, RING, ENTRY.at) == (ENTRY, RING.signing)


def test_a_mark_survives_a_rotation_and_dies_with_its_key() -> None:
    value = seal(ENTRY, RING.signing).encode()
    rotated = RING.rotated(bytes(range(2, 34)), 1)
    assert unseal(value, rotated, ENTRY.at) == (ENTRY, rotated.get(1))
    assert unseal(value, rotated.revoked(1), ENTRY.at) is Unopened.NO_KEY


def test_nobody_can_be_read_in_the_mark() -> None:
    entry = replace(ENTRY, named_twice=("hidden@example.test",), directive=b'{"bcc":["hidden@example.test"]}')
    assert b"hidden" not in seal(entry, RING.signing).encode()


def test_a_signature_is_known_in_other_folds() -> None:
    assert signature_id(b" v=1; d=x;\r\n\tb=ab") == signature_id(b" v=1; d=x; b=a b")
    assert signature_id(b"v=1; b=ab") != signature_id(b"v=1; b=ac")
