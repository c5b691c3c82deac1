"""The opening of links in C agrees with its twin in Python, and a tracker without it answers the same.

It is built with the rest where there is a compiler, as wherever these tests run: without it they fail here.
"""

import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links import _open
from engagement.links import token as tokens
from engagement.links.fast_open import RingOpeners, read_by_parts
from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import CLICKS, OPENS, Identity, Kind, Link
from engagement.links.payload import _PREFIXES, MAX_PAYLOAD, MAX_TARGET, pack_identity, pack_link, payload
from engagement.links.urls import _COMMON
from without_c import passes_without

ROOT = Path(__file__).parents[2]
KEY = Key(7, KeyStatus.SIGNING, 1_793_000_000, bytes(range(32)))
OLD = Key(258, KeyStatus.REVOKED, 1_793_000_000, bytes(range(1, 33)))
RING = Ring((KEY, OLD))

IDENTITY = Identity(bytes(16), 1, "ida@example.net", 1, 2, campaign="autumn")


def sealed(kind: int, packed: bytes, key: Key = KEY) -> str:
    """A genuine token of any payload, which `CopySealer` would not make."""
    header = bytes((tokens.VERSION, kind)) + key.id.to_bytes(2, "big")
    return tokens._encode(header + tokens._cipher(key.secret, "").encrypt(packed, [header])).decode()


def both(path: str, ring: Ring = RING) -> Any:
    """What the twin in Python reads; the one in C must say the same, or None where that is in doubt."""
    read = _open.read(path, RingOpeners(ring))
    by_parts = read_by_parts(path, RingOpeners(ring))
    assert read is None or read == by_parts
    if read is not None:
        assert by_parts is not None
        assert list(map(type, read)) == list(map(type, by_parts))
    return read, by_parts


IDENTITIES = st.builds(
    Identity,
    message_id=st.binary(min_size=16, max_size=16),
    transmission_id=st.integers(0, 2**64 - 1),
    recipient=st.text(max_size=300),
    issued=st.integers(0, 1 << 52),
    expiry=st.integers(0, 1 << 52),
    rcpt_type=st.sampled_from(("", "cc", "bcc", "archive")),
    campaign=st.text(max_size=300),
    tags=st.lists(st.text(max_size=40), max_size=64).map(tuple),
    metadata=st.text(max_size=300),
    customer_id=st.text(max_size=300),
    transactional=st.booleans(),
)
HOSTS = st.from_regex(r"([A-Za-z0-9_-]{0,32}\.){0,8}[A-Za-z0-9_-]{0,65}(:[0-9]{0,6})?", fullmatch=True)
TARGETS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(("http", "https", "HTTPS", "hTTp", "httpss", "ftp", "")),
    st.one_of(st.just("www.example.org"), HOSTS),
    st.one_of(st.just(""), st.from_regex(r"[/?#][!-~]{0,60}", fullmatch=True), st.text(max_size=9)),
).map(lambda text: text.encode("utf-8", "surrogatepass"))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(Kind),
    identity=IDENTITIES,
    target=TARGETS,
    name=st.text(max_size=300),
    filler=st.booleans(),
)
def test_native_reads_what_the_parts_read(
    kind: Kind, identity: Identity, target: bytes, name: str, filler: bool
) -> None:
    link = b"" if kind not in CLICKS else pack_link(Link(target, name))
    text = sealed(kind, payload(pack_identity(identity), link, filler=filler))
    for begin in ("/f/a/", "/q/", "/f/name/", "/"):
        read, by_parts = both(begin + text)
        fits = begin == "/f/a/" if kind in CLICKS else begin == "/q/" and kind in OPENS
        if not fits or not text[-1].isalnum():
            assert read is None
        elif kind in OPENS or _COMMON.fullmatch(target):
            assert read == by_parts is not None  # never in doubt about what it is for


@settings(max_examples=80, deadline=None)
@given(target=TARGETS)
def test_native_takes_for_common_what_the_pattern_takes(target: bytes) -> None:
    packed = payload(pack_identity(Identity(bytes(16), 1, "a", 1, 2)), pack_link(Link(target)), filler=False)
    text = sealed(Kind.CLICK, packed)
    if text[-1].isalnum():
        read, _ = both("/f/a/" + text)
        assert (read is not None) == (_COMMON.fullmatch(target) is not None and len(target) <= MAX_TARGET)


@settings(max_examples=100, deadline=None)
@given(
    kind=st.integers(0, 9),
    items=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.binary(max_size=40)
        | st.text(max_size=40),
        lambda inner: st.lists(inner, max_size=8),
        max_leaves=20,
    ),
)
def test_native_is_in_doubt_about_odd_payloads(kind: int, items: Any) -> None:
    packed = msgpack.packb(items, unicode_errors="surrogatepass")
    for begin in ("/f/a/", "/q/"):
        both(begin + sealed(kind, packed))


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(sorted(CLICKS | OPENS)), cuts=st.data())
def test_native_reads_nothing_into_broken_payloads(kind: Kind, cuts: st.DataObject) -> None:
    link = pack_link(Link(b"https://shop.example.org/a", "n" * 40)) if kind in CLICKS else b""
    identity = pack_identity(
        Identity(bytes(16), 1, "ida@example.net", 1, 2, "", "c" * 40, ("a", "b" * 300), "{}")
    )
    packed = bytearray(payload(identity, link, filler=True))
    for _ in range(cuts.draw(st.integers(1, 3))):
        packed[cuts.draw(st.integers(0, len(packed) - 1))] = cuts.draw(st.integers(0, 255))
    packed = packed[: cuts.draw(st.integers(0, len(packed)))] if cuts.draw(st.booleans()) else packed
    both(("/f/a/" if kind in CLICKS else "/q/") + sealed(kind, bytes(packed)))


@settings(max_examples=100, deadline=None)
@given(text=st.one_of(st.text(max_size=120), st.from_regex(r"[A-Za-z0-9_-]{1,120}", fullmatch=True)))
def test_native_takes_no_nonsense_for_a_token(text: str) -> None:
    for begin in ("/f/a/", "/q/", ""):
        assert both(begin + text) == (None, None)


def genuine() -> str:
    return tokens.copy_sealer(KEY, IDENTITY).seal(Kind.CLICK, Link(b"https://a.example/")).decode()


def test_native_takes_no_changed_token() -> None:
    """Every character, changed to another one; the spare bits of the last one as well."""
    text = genuine()
    assert both(f"/f/a/{text}")[0] is not None
    for place in range(len(text)):
        for sign in "AQgwBb9-_=+/.":
            if sign != text[place]:
                assert both(f"/f/a/{text[:place]}{sign}{text[place + 1 :]}") == (None, None)
    for length in range(len(text)):
        assert both(f"/f/a/{text[:length]}") == (None, None)


def test_native_opens_nothing_with_a_revoked_or_unknown_key() -> None:
    packed = payload(pack_identity(Identity(bytes(16), 1, "a", 1, 2)), b"", filler=False)
    assert both("/q/" + sealed(Kind.OPEN, packed))[0] is not None
    assert both("/q/" + sealed(Kind.OPEN, packed, OLD)) == (None, None)
    assert both("/q/" + sealed(Kind.OPEN, packed), Ring()) == (None, None)


def test_openers_keep_only_what_opens() -> None:
    openers = RingOpeners(RING)
    for kind in range(256):
        for key in (7, 258, 9):
            assert (openers[bytes((1, kind, key >> 8, key & 255))] is not None) == (
                key == 7 and kind in CLICKS | OPENS
            )
    assert openers[b"\x02\x01\x00\x07"] is None
    assert len(openers) == len(CLICKS | OPENS)


def test_native_takes_the_longest_and_nothing_longer() -> None:
    for size in (MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, MAX_PAYLOAD + 2, 20_000):
        identity = msgpack.packb([b"", "", 1, 2, "c" * (size - 12)])
        packed = b"\x91" + identity
        text = sealed(Kind.OPEN, packed)
        read, by_parts = both("/q/" + text)
        assert read == by_parts
        assert (read is not None) == (len(packed) <= MAX_PAYLOAD and text[-1].isalnum())


def test_native_errors_of_the_cipher_are_not_hidden() -> None:
    def broken(_sealed: bytes, _associated: list[bytes]) -> bytes:
        raise OSError("no cipher")

    openers = RingOpeners(RING)
    raw = tokens._encode(b"\x01\x01\x00\x07").decode()
    openers[b"\x01\x01\x00\x07"] = (Kind.CLICK, broken, [raw.encode()])
    with pytest.raises(OSError, match="no cipher"):
        _open.read(f"/f/a/{genuine()}", openers)


def test_native_leaves_nothing_behind() -> None:
    """Each way out of it, over and over: what it took is given back."""
    openers = RingOpeners(RING)
    paths = [f"/f/a/{genuine()}", f"/f/a/A{genuine()}", f"/f/a/{genuine()[:-8]}AAAAAAAA", "/q/AQ", "/"]
    paths += [
        f"/q/{sealed(Kind.OPEN, packed)}" for packed in (b"", b"\x91\xc0", b"\x91\x94\xc4\0\xa1\xff\1\2")
    ]
    paths += [
        f"/f/a/{sealed(Kind.CLICK, payload(pack_identity(IDENTITY), pack_link(Link(b'x')), filler=False))}"
    ]
    before = 0
    for turn in range(3000):
        if turn == 1000:
            before = sys.getallocatedblocks()
        for path in paths:
            _open.read(path, openers)
    assert sys.getallocatedblocks() - before < 500


def test_prefixes_are_those_of_the_payload() -> None:
    source = (ROOT / "engagement/links/_open.c").read_text()
    for prefix in _PREFIXES:
        assert f'{{"{prefix.decode()}", {len(prefix)}}}' in source


def test_tracker_is_the_same_without_the_part_in_c() -> None:
    """Its table of requests, and what is read of payloads."""
    passes_without(
        "engagement.links._open", "tests/web/test_links_application.py", "tests/unit/test_links_peek.py"
    )
