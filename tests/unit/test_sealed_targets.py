"""Whole targets beside a kept copy: for holders of the key ring, and nobody else."""

import base64
from dataclasses import replace
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.html_copies.model import CopiedLink, HtmlCopy, as_file, from_facts, of_file, to_facts
from engagement.html_copies.sealed_targets import seal, unseal
from engagement.links.keys import Ring

RING = Ring().rotated(b"k" * 32, 1)
TARGETS = (b"https://shop.example/a?to=ann&x=1#y", b"http://x.example/")


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_targets_come_back(targets: list[bytes]) -> None:
    assert unseal(seal(targets, RING.signing), RING.rotated(b"n" * 32, 2)) == tuple(targets)


def test_the_same_are_sealed_alike_and_say_nothing() -> None:
    sealed = seal(TARGETS, RING.signing)
    assert sealed == seal(TARGETS, RING.signing)
    assert b"shop" not in base64.b64decode(sealed)


@pytest.mark.parametrize("ring", [Ring().rotated(b"o" * 32, 1), Ring().rotated(b"k" * 32, 1, 9), Ring()])
def test_another_ring_reads_none(ring: Ring) -> None:
    assert unseal(seal(TARGETS, RING.signing), ring) == ()


@given(
    st.one_of(st.text(max_size=80), st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode()))
)
def test_what_is_not_ours_gives_none(text: str) -> None:
    assert unseal(text, RING) == ()
    assert unseal("AAE" + text, RING) == ()


def test_too_many_are_left_out() -> None:
    many = [b"https://shop.example/" + blake2b(number.to_bytes(2, "big")).digest() for number in range(999)]
    assert seal(many, RING.signing) == ""
    assert unseal("", RING) == ()


def test_a_copy_has_them_and_an_earlier_one_has_none() -> None:
    links = (CopiedLink(0, "a", "https://shop.example/a"),)
    sealed = seal(TARGETS, RING.signing)
    copy = HtmlCopy("", "autumn", "f", "ann@example.net", "s", 1, 2, links, "<p>", sealed)
    assert unseal(of_file(as_file(copy)).sealed, RING) == TARGETS
    facts = to_facts(copy)
    del facts["sealed"]
    assert from_facts(facts) == replace(copy, html="", sealed="")
