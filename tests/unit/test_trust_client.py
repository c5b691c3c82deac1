"""Who may steer tracking (contract.md 3.5)."""

from ipaddress import ip_network

import pytest

from smtpapi.model.envelope import Client
from smtpapi.request.trust import client_address, is_trusted

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_SITE = (*_LOOPBACK, ip_network("10.1.0.0/16"), ip_network("2001:db8:7::/48"), ip_network("fe80::/10"))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "::1", "", "/run/client.sock"),
        *("10.1.2.3", "2001:db8:7::25", "::ffff:10.1.2.3", "fe80::1%eth0"),
    ],
)
def test_addresses_in_relay_hosts_are_trusted(address: str) -> None:
    assert is_trusted(Client(address), _SITE)


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.2.0.1", "2001:db8:8::1", "::ffff:192.0.2.1", "::2", "unknown", "127.0.0.1 "]
)
def test_others_are_not(address: str) -> None:
    assert not is_trusted(Client(address), _SITE)


def test_a_login_is_trusted_from_anywhere() -> None:
    assert is_trusted(Client("192.0.2.1", login="ida"), ())


def test_local_submission_needs_loopback_in_relay_hosts() -> None:
    assert not is_trusted(Client(""), (ip_network("10.1.0.0/16"),))


def test_local_submission_counts_as_loopback() -> None:
    assert client_address(Client("")) == client_address(Client("/run/x")) == "127.0.0.1"
    assert client_address(Client("192.0.2.1")) == "192.0.2.1"
