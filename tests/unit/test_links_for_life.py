"""Links live as long as promised, through rotations and reloads, and die when their key is revoked."""

import itertools
from pathlib import Path

import pytest

from engagement.links.keys import Ring
from engagement.links.model import OPENS, Identity, Kind, Link
from engagement.links.ring_file import RingFile, edit_ring, save_ring
from engagement.links.token import BadToken, copy_sealer, open_token

WHO = Identity(bytes(16), 7, "reader@example.com", 1_764_000_000, 1_795_536_000)
LINK = Link(b"https://shop.example.com/")
TENANTS = ("", "acme", "acme2", "Acme", "a", "münchen", "x" * 300)


def sealed(ring: Ring, kind: Kind = Kind.CLICK, tenant: str = "") -> bytes:
    return copy_sealer(ring.signing, WHO, tenant).seal(kind, None if kind in OPENS else LINK)


def opens(token: bytes, ring: Ring, tenant: str = "") -> bool:
    try:
        open_token(token, ring, tenant)
    except BadToken:
        return False
    return True


def rotations(count: int) -> tuple[Ring, list[bytes]]:
    """Rotate, seal a link, and so on; the last ring and all links."""
    ring, links = Ring(), []
    for number in range(count):
        ring = ring.rotated(bytes([number]) * 32, 1_764_000_000 + number)
        links.append(sealed(ring))
    return ring, links


def test_links_of_every_earlier_key_open_after_fifty_rotations() -> None:
    ring, links = rotations(50)
    assert [open_token(link, ring).key_id for link in links] == list(range(1, 51))


def test_links_of_a_revoked_key_are_dead_and_all_others_live() -> None:
    ring, links = rotations(5)
    ring = ring.revoked(2)
    assert [opens(link, ring) for link in links] == [True, False, True, True, True]


def test_revoked_key_comes_back_with_one_word_when_it_was_a_mistake() -> None:
    ring, links = rotations(3)
    text = ring.revoked(2).dump()
    assert opens(links[1], Ring.parse(text.replace("revoked 20", "accepted 20")))


def test_ring_of_another_installation_opens_nothing() -> None:
    _, links = rotations(3)
    other = Ring().rotated(b"o" * 32, 1).rotated(b"p" * 32, 2).rotated(b"q" * 32, 3)
    assert not any(opens(link, other) for link in links)


def test_token_of_one_tenant_is_nothing_elsewhere() -> None:
    ring, _ = rotations(1)
    for mine, theirs in itertools.product(TENANTS, TENANTS):
        assert opens(sealed(ring, tenant=mine), ring, theirs) == (mine == theirs)


def test_token_of_one_kind_is_not_turned_into_another() -> None:
    ring, _ = rotations(1)
    for mine, theirs in itertools.product(Kind, Kind):
        token = bytearray(sealed(ring, mine))
        # The kind stands in bits 8 to 15, so in the second and third character.
        head = int.from_bytes(b"\x01" + bytes((theirs,)) + (1).to_bytes(2, "big"), "big")
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        token[:5] = bytes(alphabet[(head >> shift) & 63] for shift in (26, 20, 14, 8, 2))
        assert opens(bytes(token), ring) == (mine is theirs)


def test_running_program_follows_rotation_and_revocation(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    save_ring(path, Ring().rotated(bytes(32), 1))
    now = [0.0]
    following = RingFile(path, clock=lambda: now[0])
    old = sealed(following.current())

    edit_ring(path, lambda ring: ring.rotated(b"2" * 32, 2))
    new = sealed(following.refreshed())
    assert (opens(old, following.current()), opens(new, following.current())) == (True, True)

    edit_ring(path, lambda ring: ring.revoked(1))
    now[0] += 1.0
    assert (opens(old, following.current()), opens(new, following.current())) == (False, True)


def test_link_sealed_with_a_key_not_loaded_yet_opens_after_a_look(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    save_ring(path, Ring().rotated(bytes(32), 1))
    tracker = RingFile(path, clock=lambda: 0.0)
    link = sealed(edit_ring(path, lambda ring: ring.rotated(b"2" * 32, 2)))
    with pytest.raises(BadToken, match="key"):
        open_token(link, tracker.current())
    assert opens(link, tracker.refreshed())
