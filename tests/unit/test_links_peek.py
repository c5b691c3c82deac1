"""The short look at a payload that an answer takes: the same as the whole reading, for what it returns."""

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links.model import CLICKS, OPENS, BadToken, Identity, Kind, Link
from engagement.links.payload import pack_identity, pack_link, payload, peek, unpack

IDENTITY = Identity(bytes(16), 1, "ida@example.net", 1_793_000_000, 1_793_000_500, tags=("a",), metadata="{}")
LINKS = [
    None,
    *(
        Link(target, "name", unsubscribe=True)
        for target in (b"http://a.example/", b"https://a.example", b"https://www.a.example/", b"mailto:x")
    ),
]


SEALED = [
    (kind, link) for kind in Kind for link in LINKS if kind not in (OPENS if link is not None else CLICKS)
]


@pytest.mark.parametrize(("kind", "link"), SEALED)
@pytest.mark.parametrize("filler", [False, True])
def test_peek_is_what_the_whole_reading_says(kind: Kind, link: Link | None, filler: bool) -> None:
    packed = payload(pack_identity(IDENTITY), b"" if link is None else pack_link(link), filler=filler)
    identity, read = unpack(kind, packed)
    assert peek(kind, packed) == (identity.issued, identity.expiry, read.target if read else b"")


@pytest.mark.parametrize(
    "items",
    [
        [],
        [None],
        ["text", [0, b"x"]],
        [b"bytes", [0, b"x"]],
        [[b"", ""], [0, b"x"]],
        [[b"", "", "1", 0], [0, b"x"]],
        [[b"", "", 1, None], [0, b"x"]],
        [[b"", "", 1, 0]],
        [[b"", "", 1, 0], None],
        [[b"", "", 1, 0], []],
        [[b"", "", 1, 0], [0]],
        [[b"", "", 1, 0], [True, b"x"]],
        [[b"", "", 1, 0], [0, "text"]],
        [[b"", "", 1, 0], b"ab"],
    ],
)
def test_click_of_another_shape_is_a_bad_token(items: list[object]) -> None:
    with pytest.raises(BadToken, match="payload"):
        peek(Kind.CLICK, msgpack.packb(items))


@given(kind=st.sampled_from(Kind), packed=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused(kind: Kind, packed: bytes) -> None:
    with suppress(BadToken):
        issued, expiry, target = peek(kind, packed)
        assert (type(issued), type(expiry), type(target)) == (int, int, bytes)


def test_kind_is_found_by_its_number() -> None:
    assert all(hash(kind) == hash(int(kind)) for kind in Kind)
    assert {1: "click"}[Kind.CLICK] == "click"
