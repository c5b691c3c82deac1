"""Momentum's SMTP commands as MTAs tell them, and what is no command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpapi.mta import dsn
from smtpapi.mta.xsetcontext import command_in_helo, merged, remote_address


@pytest.mark.parametrize(
    "name",
    ["client.test", "xsetcontext", "XSETCONTEXT", "[192.0.2.9]", "xsetcontext2 a=b", "a xsetcontext"],
)
def test_a_real_name_is_no_command(name: str) -> None:
    assert command_in_helo(name) is None


def test_a_name_with_a_blank_is_a_command_whatever_its_letters() -> None:
    assert command_in_helo("XSetContext a=b c=d") == ("XSETCONTEXT", "a=b c=d")
    assert command_in_helo("xdumpcontext .") == ("XDUMPCONTEXT", ".")


_XTEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(st.dictionaries(_XTEXT, _XTEXT, min_size=1, max_size=5))
def test_pairs_come_back_also_with_the_blanks_that_postfix_adds(variables: dict[str, str]) -> None:
    """Postfix ends a word behind each colon, and joins the words with blanks."""
    pairs = [f"{dsn.to_xtext(name)}={dsn.to_xtext(value)}" for name, value in variables.items()]
    assert merged({}, " ".join(pairs)) == variables
    split = " ".join(pair.replace(":", ": ").strip() for pair in pairs)
    if not any(":" in name for name in variables):
        assert merged({}, split) == variables


@pytest.mark.parametrize("rest", ["", "  ", "a", "=b", "a=b c", "a=+2", "a=+zz", "a=ä"])
def test_what_is_no_pair_is_refused(rest: str) -> None:
    with pytest.raises(ValueError, match=r"xtext|pairs|variables"):
        merged({}, rest)


def test_a_session_sets_so_many_variables_and_no_more() -> None:
    hundred = merged({}, " ".join(f"n{number}=x" for number in range(100)))
    assert len(merged(hundred, "n0=y")) == 100
    with pytest.raises(ValueError, match="more than 100 variables"):
        merged(hundred, "n100=x")


def test_xremoteip_names_an_address() -> None:
    assert remote_address(" 2001:DB8::7 ") == "2001:db8::7"
    with pytest.raises(ValueError, match="expected an IP address"):
        remote_address("host.test")
