"""The key ring: its text form, rotation, revocation, and what each refuses."""

import pytest

from engagement.links.keys import LAST_ID, Key, KeyStatus, Ring, RingError

ONE, TWO, THREE = (bytes([n]) * 32 for n in (1, 2, 3))
NOW = 1_764_000_000


def ring_of_three() -> Ring:
    return Ring().rotated(ONE, NOW).rotated(TWO, NOW + 1).rotated(THREE, NOW + 2)


def test_rotation_lets_a_new_key_sign_and_the_old_ones_open() -> None:
    ring = ring_of_three()
    assert [(key.id, key.status) for key in ring.keys] == [
        (1, KeyStatus.ACCEPTED),
        (2, KeyStatus.ACCEPTED),
        (3, KeyStatus.SIGNING),
    ]
    assert ring.signing.secret == THREE
    assert all(ring.get(n) is not None for n in (1, 2, 3))


def test_revoked_key_opens_nothing_but_stays_in_the_ring() -> None:
    ring = ring_of_three().revoked(1)
    assert ring.get(1) is None
    assert ring.get(2) is not None
    assert [key.id for key in ring.keys] == [1, 2, 3]


def test_ids_are_never_given_again() -> None:
    ring = ring_of_three().revoked(1).revoked(2).rotated(bytes(32), NOW)
    assert ring.signing.id == 4


def test_signing_key_is_revoked_only_after_a_rotation() -> None:
    ring = ring_of_three()
    with pytest.raises(RingError, match="keys rotate"):
        ring.revoked(3)
    assert ring.rotated(bytes(32), NOW).revoked(3).get(3) is None


def test_revoking_an_unknown_key_says_so() -> None:
    with pytest.raises(RingError, match="no key 9"):
        ring_of_three().revoked(9)


def test_same_secret_is_not_taken_twice() -> None:
    with pytest.raises(RingError, match="in the ring already"):
        ring_of_three().rotated(ONE, NOW)


def test_used_up_ids_are_an_error_not_an_overflow() -> None:
    ring = Ring((Key(LAST_ID - 1, KeyStatus.SIGNING, NOW, ONE),)).rotated(TWO, NOW)
    assert ring.signing.id == LAST_ID
    with pytest.raises(RingError, match="used up"):
        ring.rotated(THREE, NOW)


def test_empty_ring_signs_nothing() -> None:
    with pytest.raises(RingError, match="keys init"):
        _ = Ring().signing


def test_text_form_comes_back_equal() -> None:
    ring = ring_of_three().revoked(2)
    assert Ring.parse(ring.dump()) == ring


def test_notes_are_kept_and_cannot_break_the_text() -> None:
    keys = Ring((Key(1, KeyStatus.SIGNING, NOW, ONE, "mine # really\n2 signing"),))
    again = Ring.parse(keys.dump())
    assert [key.note for key in again.keys] == ["mine # really 2 signing"]
    assert again.rotated(TWO, NOW).keys[0].note == "mine # really 2 signing"


def test_text_written_by_hand_is_read() -> None:
    ring = Ring.parse(f"\n# mine\n  2 signing\t2026-07-01T08:00:00Z {TWO.hex().upper()}   # new\n"
                      f"1 accepted 2026-01-05T08:00:00Z {ONE.hex()}\r\n")  # fmt: skip
    assert [(key.id, key.secret) for key in ring.keys] == [(1, ONE), (2, TWO)]
    assert ring.signing.created == 1_782_892_800


LINE = f"1 signing 2026-01-05T08:00:00Z {ONE.hex()}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ring: there is no key in it"),
        ("# nothing\n", "keys init"),
        ("1 signing", "ring:1: expected ID STATUS CREATED SECRET"),
        (f"{LINE} x y", "found 6 words"),
        (f"# first\n{LINE.replace('1 ', 'one ', 1)}", "ring:2: expected a key id"),
        (LINE.replace("1 ", "-1 ", 1), "expected a key id"),
        (LINE.replace("1 ", "0 ", 1), "a number from 1 to 65535"),
        (LINE.replace("1 ", "65536 ", 1), "a number from 1 to 65535"),
        (LINE.replace("1 ", "\N{ARABIC-INDIC DIGIT ONE} ", 1), "expected a key id"),
        (LINE.replace("signing", "Signing"), "expected signing, accepted or revoked"),
        (LINE.replace("2026-01-05T08:00:00Z", "yesterday"), "expected a time like"),
        (LINE.replace("2026", "1066"), "1970 to 9999"),
        (LINE[:-1], "expected a secret of 64 hexadecimal digits"),
        (LINE + "0", "expected a secret of 64 hexadecimal digits"),
        (LINE[:-1] + "g", "expected a secret of 64 hexadecimal digits"),
        (LINE + " 00000000", "key 1 is damaged"),
        (LINE.replace("signing", "accepted"), "no key signs"),
        (f"{LINE}\n{LINE.replace('1 ', '2 ', 1)}", "keys 1, 2 sign"),
        (f"{LINE}\n{LINE.replace('signing', 'revoked')}", "twice"),
    ],
)
def test_broken_text_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(RingError, match="ring") as caught:
        Ring.parse(text, "ring")
    assert message in str(caught.value)
    assert ONE.hex()[:16] not in str(caught.value)


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_secret_of_another_length_is_refused(secret: bytes) -> None:
    with pytest.raises(RingError, match="32 bytes"):
        Ring((Key(1, KeyStatus.SIGNING, NOW, secret),))


@pytest.mark.parametrize(
    ("created", "sound"), [(-1, False), (0, True), (253_402_300_799, True), (253_402_300_800, False)]
)
def test_created_is_a_time_that_the_text_form_can_hold(created: int, sound: bool) -> None:
    if sound:
        ring = Ring((Key(1, KeyStatus.SIGNING, created, ONE),))
        assert Ring.parse(ring.dump()) == ring
    else:
        with pytest.raises(RingError, match="1970 to 9999"):
            Ring((Key(1, KeyStatus.SIGNING, created, ONE),))


def test_no_secret_shows_in_a_traceback() -> None:
    ring = ring_of_three()
    assert "\\x" not in repr(ring)
    assert ONE.hex() not in repr(ring)


def test_each_purpose_tenant_and_key_has_its_own_bytes() -> None:
    keys = ring_of_three().keys
    derived = {
        key.derive(purpose, tenant)
        for key in keys
        for purpose in (b"link", b"mark", b"message-id", b"lin")
        for tenant in ("", "k", "acme", "acme2")
    }
    assert len(derived) == 3 * 4 * 4
    assert {len(one) for one in derived} == {32}
    assert keys[0].derive(b"link") == keys[0].derive(b"link")


def test_derivation_stays_as_it_is() -> None:
    key = Key(1, KeyStatus.SIGNING, 0, bytes(range(32)))
    assert (
        key.derive(b"link", "acme").hex()
        == "81c85222282eac87eba8c0724444a23319e0a7786c4ceea6b382b9c4d5d0fbdc"
    )
