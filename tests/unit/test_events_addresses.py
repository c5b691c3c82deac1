"""Addresses cut short before anything is written down."""

import pytest

from engagement.events.addresses import truncated


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.0"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001:DB8::1", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:203.0.113.9", "203.0.113.0"),
        ("::1", "::"),
        ("", ""),
        ("unknown", ""),
        ("203.0.113.9:443", ""),
    ],
)
def test_an_address_loses_its_last_part(address: str, expected: str) -> None:
    assert truncated(address) == expected
