"""Whose login it is: the map of customers, and what keeps it from being used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.settings.schema import CustomersStanza
from smtpapi.process.startup import StartError, load
from smtpapi.request.customers import CustomersError, by_login, parse


def test_the_login_is_the_customer_where_the_configuration_says_so() -> None:
    assert by_login(CustomersStanza("login"))("shop@example.com") == "shop@example.com"
    assert by_login(CustomersStanza("login"))("x" * 256) == ""
    assert by_login(CustomersStanza())("shop@example.com") == ""


def test_the_map_names_the_customer_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("# logins\n\nshop@example.com  17\nnews\tblue\r\n")
    customer_of = by_login(CustomersStanza("map", str(tmp_path / "map")))
    assert [customer_of(login) for login in ("shop@example.com", "news", "other", "#")] == [
        "17",
        "blue",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"ann 17\nbob\n", "m:2: expected a login and its customer, two words"),
        (b"ann 17 18", "m:1: expected a login and its customer, two words"),
        (b"ann 17\nann 18", "m:2: this login has another customer above"),
        (b"ann " + b"1" * 256, "m:1: a customer's id has at most 255 bytes"),
        (b"\xff 1", "m: the map of customers is not UTF-8"),
    ],
)
def test_a_wrong_map_is_refused_with_its_line(octets: bytes, message: str) -> None:
    with pytest.raises(CustomersError, match=f"^{message}$"):
        parse(octets, "m")


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(octets: bytes) -> None:
    try:
        found = parse(octets, "m")
    except CustomersError:
        return
    assert all(login and customer for login, customer in found.items())


@pytest.mark.parametrize(
    ("stanza", "message"),
    [
        ('by_login = "map"', "customers.map is not set"),
        ('by_login = "map" map = "missing"', "missing: cannot read the map of customers: No such file"),
    ],
)
def test_the_filter_does_not_start_without_its_map(tmp_path: Path, stanza: str, message: str) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(f"smtpapi {{ }}\ncustomers {{ {stanza} }}\n")
    with pytest.raises(StartError, match=message):
        load(config)
