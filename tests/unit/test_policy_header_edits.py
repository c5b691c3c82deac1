"""What a policy may write into a header, and how it is written (smtpapi.policy.edits)."""

import pytest

from smtpapi.model.message import Field, Message
from smtpapi.policy.edits import HeaderEdits

_MAIL = Message((Field("X-A", b" 1"), Field("x-a", b" 2")), b"")


def written(value: str, name: str = "X-B") -> bytes:
    """The field as it stands in the header, without its name."""
    edits = HeaderEdits(_MAIL, _MAIL)
    edits.add(name, value)
    field = edits.message().fields[-1]
    assert field.name == name
    return field.value


@pytest.mark.parametrize("length", [0, 1, 899, 900, 901, 2000, 65_536])
@pytest.mark.parametrize("word", ["x", "word", "w" * 850])
def test_a_long_value_is_folded_between_words_and_nothing_of_it_is_lost(length: int, word: str) -> None:
    value = " ".join([word] * (length // (len(word) + 1) + 1))[:length].strip()
    found = written(value)
    assert found.replace(b"\n", b"") == b" " + value.encode()
    lines = found.split(b"\n")
    assert max(map(len, lines)) <= 950  # SMTP takes 998 (RFC 5321 4.5.3.1.6)
    assert all(line.startswith(b" ") for line in lines)
    assert (len(lines) > 1) == (len(value) > 900)


def test_a_value_that_has_no_place_to_fold_stays_whole() -> None:
    assert written("x" * 2000) == b" " + b"x" * 2000


@pytest.mark.parametrize("value", ["x" * 65_536, "\u00fc" * 65_536])
def test_a_value_is_so_long_at_most(value: str) -> None:
    assert written(value)
    with pytest.raises(ValueError, match="header field X-B: longer than 65536 characters"):
        written(value + "x")


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\r\n b"])
def test_a_value_holds_no_break(value: str) -> None:
    with pytest.raises(ValueError, match="a line break or NUL"):
        written(value)


def test_a_name_is_so_long_at_most_and_printable() -> None:
    assert written("x", "N" * 200)
    for name in ("N" * 201, "", "a b", "a:b", "\u00fc"):
        with pytest.raises(ValueError, match="no name of a header field"):
            written("x", name)
    for name in ("X-SMTPAPI-Split", "x-smtpapi-id"):
        with pytest.raises(ValueError, match="the filter's own"):
            written("x", name)
