"""The part in C that seals links agrees with its twins in Python, and a copy without it works the same.

It is built with the rest where there is a compiler, as wherever these tests run: without it they fail here.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engagement.links import _seal
from engagement.links.fast_seal import origin, seal_common_by_parts
from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.payload import (
    _PREFIXES,
    MAX_FLAGS,
    MAX_PAYLOAD,
    MAX_TARGET,
    PLACE_STEP,
    first_place,
    pack_link,
)
from engagement.links.token import CannotSeal, Sealing, copy_sealer, open_token, seal_by_parts
from engagement.links.urls import refusal
from without_c import passes_without

ROOT = Path(__file__).parents[2]
KEY = Key(7, KeyStatus.SIGNING, 1_793_000_000, bytes(range(32)))
RING = Ring((KEY,))
PREFIX = b"https://track.example.com/f/a/"
ORIGINS = {
    b"https://shop.example.org",
    b"http://a",
    b"https://www.example.org:8443",
    b"HTTPS://Shop.example.org",
}

IDENTITIES = st.builds(
    Identity,
    message_id=st.binary(min_size=16, max_size=16),
    transmission_id=st.integers(0, 2**64 - 1),
    recipient=st.text(max_size=300),
    issued=st.integers(0, 1 << 52),
    expiry=st.integers(0, 1 << 52),
    campaign=st.text(max_size=300),
    tags=st.lists(st.text(max_size=40), max_size=64).map(tuple),
    metadata=st.text(max_size=300),
)
BEGINNINGS = st.sampled_from(
    (*ORIGINS, *_PREFIXES, b"https://other.example", b"https:/", b"mailto:a@b.example")
)
BEHIND = st.one_of(
    st.from_regex(r"[/?#][!-~]{0,300}", fullmatch=True).map(str.encode),
    st.binary(max_size=20),
    st.sampled_from((b"/\\", b"/{", b"/ ", b"/\x7f", b"/\xe9", b"/~}|", b"?/", b"/" + b"x" * MAX_TARGET)),
)
# The places where a number's size changes, and the last ones there are.
PLACES = st.builds(
    lambda ordinal, part: first_place(ordinal, part),
    st.integers(0, 300) | st.sampled_from((4090, 4094, 4095, MAX_FLAGS // PLACE_STEP - 4)),
    st.sampled_from(("html", "text")),
)
TARGETS = st.builds(bytes.__add__, BEGINNINGS, BEHIND)


def sealing(identity: Identity | None = None, kind: Kind = Kind.CLICK, tenant: str = "") -> Sealing:
    return copy_sealer(KEY, identity or Identity(bytes(16), 1, "ida@example.net", 1, 2), tenant).sealing(kind)


def padded(size: int) -> Sealing:
    """A sealing whose identity has that many bytes."""
    return sealing()._replace(identity=b"i" * size)


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """What it returns, or the type of what it raises."""
    try:
        return function(*arguments)
    except (CannotSeal, TypeError) as error:
        return type(error)


@settings(max_examples=100, deadline=None)
@given(
    identity=IDENTITIES,
    kind=st.sampled_from(Kind),
    tenant=st.text(max_size=20),
    link=st.one_of(st.just(b""), st.binary(max_size=400), TARGETS.map(lambda it: pack_link(Link(it[:4096])))),
)
def test_native_token_is_that_of_the_parts(identity: Identity, kind: Kind, tenant: str, link: bytes) -> None:
    of = sealing(identity, kind, tenant)
    token = _seal.seal(of, link)
    assert token == seal_by_parts(of, link)
    assert token is not None
    assert token[:1].isalnum()
    assert token[-1:].isalnum()


@pytest.mark.parametrize("identity", range(1, 40))
@pytest.mark.parametrize("link", [0, 1, 5])
def test_native_token_ends_well_at_every_length(identity: int, link: int) -> None:
    of = padded(identity)
    token = _seal.seal(of, b"l" * link)
    assert token == seal_by_parts(of, b"l" * link)
    assert token is not None
    assert token[-1:].isalnum()


def test_native_is_in_doubt_over_the_bound_of_a_payload() -> None:
    for size in range(MAX_PAYLOAD - 5, MAX_PAYLOAD + 5):
        for identity, link in ((size, 0), (0, size), (size // 2, size - size // 2)):
            token = _seal.seal(padded(identity), b"l" * link)
            by_parts = outcome(seal_by_parts, padded(identity), b"l" * link)
            assert by_parts == (CannotSeal if token is None else token)
    for identity, link in ((MAX_PAYLOAD * 9, 0), (0, MAX_PAYLOAD * 9)):
        assert _seal.seal(padded(identity), b"l" * link) is None


@settings(max_examples=200, deadline=None)
@given(
    targets=st.lists(st.none() | TARGETS, max_size=8),
    again=st.integers(0, 3),
    most=st.integers(60, 2500),
    place=PLACES,
)
@example(targets=[], again=0, most=0, place=16)
def test_native_run_is_that_of_the_parts(
    targets: list[bytes | None], again: int, most: int, place: int
) -> None:
    targets += targets[:again]
    urls = _seal.seal_common(sealing(), PREFIX, most, ORIGINS, place, targets)
    assert urls == seal_common_by_parts(sealing(), PREFIX, most, ORIGINS, place, targets)
    assert set(map(type, urls)) <= {bytes}
    assert len(set(urls)) == len(urls)


@settings(max_examples=200, deadline=None)
@given(target=TARGETS, ordinal=st.integers(0, 5000), part=st.sampled_from(("html", "text")))
def test_native_seals_what_was_not_refused_and_comes_back(target: bytes, ordinal: int, part: str) -> None:
    fit = {before for before in ORIGINS if refusal(before + b"/") is None}
    place = first_place(ordinal, part)
    for more, url in enumerate(_seal.seal_common(sealing(), PREFIX, 10_000, fit, place, [target, target])):
        assert refusal(target) is None
        assert origin(target) in fit
        opened = open_token(url.removeprefix(PREFIX), RING)
        assert opened.link == Link(target, "", False, ordinal + more, part)


@pytest.mark.parametrize("size", [*range(225, 300), *range(MAX_TARGET - 3, MAX_TARGET + 3), 70_000])
def test_native_run_takes_targets_of_every_size(size: int) -> None:
    for before in sorted(ORIGINS):
        target = (before + b"/").ljust(size, b"x")
        for most in (400, 1000, 10_000):
            arguments = (sealing(), PREFIX, most, ORIGINS)
            urls = _seal.seal_common(*arguments, 16, [target])
            assert urls == seal_common_by_parts(*arguments, 16, [target])
            assert all(len(url) <= most for url in urls)


def test_native_run_stops_where_a_url_is_one_byte_too_long() -> None:
    target = b"https://shop.example.org/a"
    (url,) = _seal.seal_common(sealing(), PREFIX, 2000, ORIGINS, 16, [target])
    for run in (_seal.seal_common, seal_common_by_parts):
        assert run(sealing(), PREFIX, len(url), ORIGINS, 16, [target, target])[:1] == [url]
        assert run(sealing(), PREFIX, len(url) - 1, ORIGINS, 16, [target]) == []
        assert run(sealing(), PREFIX, -1, ORIGINS, 16, [target]) == []


def test_native_fits_the_same_signs() -> None:
    for code in range(256):
        target = b"https://shop.example.org/" + bytes([code])
        urls = _seal.seal_common(sealing(), PREFIX, 2000, ORIGINS, 16, [target])
        assert urls == seal_common_by_parts(sealing(), PREFIX, 2000, ORIGINS, 16, [target])
        assert bool(urls) == (refusal(target) is None and code != ord("{"))


def test_native_run_stops_at_an_origin_that_was_not_given() -> None:
    targets: list[bytes | None] = [
        b"https://shop.example.org/1",
        b"https://shop.example.org/2",
        b"https://shop.example.or/3",
        b"https://shop.example.org/4",
    ]
    assert len(_seal.seal_common(sealing(), PREFIX, 2000, ORIGINS, 16, targets)) == 2
    assert _seal.seal_common(sealing(), PREFIX, 2000, set(), 16, targets) == []


def test_native_run_stops_at_the_last_place() -> None:
    """And `pack_link`, which is asked then, has none either."""
    targets: list[bytes | None] = [b"http://a/"] * 4
    last = MAX_FLAGS // PLACE_STEP - 1
    for ordinal in range(last - 3, last + 1):
        urls = _seal.seal_common(sealing(), PREFIX, 2000, ORIGINS, first_place(ordinal, "text"), targets)
        assert len(urls) == min(4, last - ordinal)
        assert outcome(pack_link, Link(b"http://a/", "", False, last, "text")) == CannotSeal
        pack_link(Link(b"http://a/", "", True, last - 1, "text"))


def other_cipher(size: int) -> Sealing:
    return sealing()._replace(encrypt=lambda _cleartext, _associated: bytes(size))


def test_native_is_in_doubt_about_a_cipher_that_adds_no_tag() -> None:
    for size in (0, 1, 16, 50, 9000):
        assert _seal.seal(other_cipher(size), b"") is None
        assert _seal.seal_common(other_cipher(size), PREFIX, 2000, ORIGINS, 16, [b"http://a/"]) == []


def test_native_errors_of_the_cipher_are_not_hidden() -> None:
    def broken(_cleartext: bytes, _associated: list[bytes]) -> bytes:
        raise OSError("no cipher")

    of = sealing()._replace(encrypt=broken)
    with pytest.raises(OSError, match="no cipher"):
        _seal.seal(of, b"")
    with pytest.raises(OSError, match="no cipher"):
        _seal.seal_common(of, PREFIX, 2000, ORIGINS, 16, [b"http://a/"])


def test_native_bears_a_cipher_that_empties_what_it_was_given() -> None:
    targets: list[bytes | None] = [b"http://a/1", b"http://a/2"]
    origins = {b"http://a"}

    def emptying(cleartext: bytes, _associated: list[bytes]) -> bytes:
        targets.clear()
        origins.clear()
        return bytes(16) + cleartext

    of = sealing()._replace(encrypt=emptying)
    assert len(_seal.seal_common(of, PREFIX, 2000, origins, 16, targets)) == 1


@pytest.mark.parametrize("place", range(6))
def test_native_takes_no_value_of_another_type(place: int) -> None:
    arguments: list[Any] = [sealing(), PREFIX, 2000, ORIGINS, 16, [b"http://a/"]]
    wrongs: tuple[Any, ...] = (None, "text", (1, 2, 3, 4), sealing()._replace(header=b""))
    for wrong in wrongs:
        arguments[place] = wrong
        with pytest.raises(TypeError):
            _seal.seal_common(*arguments)
        with pytest.raises(TypeError):
            _seal.seal_common(*arguments[:place])
        with pytest.raises(TypeError):
            _seal.seal(wrong, b"")
    with pytest.raises(TypeError):
        _seal.seal(sealing(), "text")  # type: ignore[arg-type] # a wrong value on purpose
    for place in (-1, 4, 1 << 21):
        with pytest.raises(ValueError, match="place"):
            _seal.seal_common(sealing(), PREFIX, 2000, ORIGINS, place, [])
    with pytest.raises(OverflowError):
        _seal.seal_common(sealing(), PREFIX, 1 << 64, ORIGINS, 16, [])


def test_native_leaves_nothing_behind() -> None:
    """Each way out of it, over and over: what it took is given back."""

    def broken(_cleartext: bytes, _associated: list[bytes]) -> bytes:
        raise OSError

    of = sealing()
    targets: list[bytes | None] = [b"http://a/1", b"http://a/1", b"https://shop.example.org/?x", None]
    odd: list[list[bytes | None]] = [[b"http://b/"], [b"http://a/{"], [b"http://a"], [b"http://a/" * 999]]
    before = 0
    for turn in range(3000):
        if turn == 1000:
            before = sys.getallocatedblocks()
        _seal.seal(of, b"link")
        _seal.seal(of, bytes(9000))
        for some in (targets, *odd):
            _seal.seal_common(of, PREFIX, 2000, ORIGINS, 16, some)
            _seal.seal_common(of, PREFIX, 100, ORIGINS, 16, some)
            _seal.seal_common(other_cipher(9), PREFIX, 2000, ORIGINS, 16, some)
            with suppress(OSError):
                _seal.seal_common(of._replace(encrypt=broken), PREFIX, 2000, ORIGINS, 16, some)
        with suppress(TypeError):
            _seal.seal_common(of, PREFIX, 2000, ORIGINS, 16, None)  # type: ignore[arg-type] # a wrong value on purpose
    assert sys.getallocatedblocks() - before < 500


def test_prefixes_are_those_of_the_payload() -> None:
    source = (ROOT / "engagement/links/_seal.c").read_text()
    for prefix in _PREFIXES:
        assert f'{{"{prefix.decode()}", {len(prefix)}}}' in source


def test_links_are_the_same_without_the_part_in_c() -> None:
    """Tokens, what was sealed once, and rewriting."""
    names = ("links_token", "links_golden", "rewrite_part", "rewrite_plan")
    files = [f"tests/unit/test_{name}.py" for name in names]
    passes_without("engagement.links._seal", *files, "tests/test_golden_messages.py")
