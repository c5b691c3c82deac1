"""The forms of a recipient's address (engagement.domain_names)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.domain_names import ascii_domain, spellings


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Ida@Example.net", ("ida@example.net",)),
        ("ida@müller.example", ("ida@müller.example", "ida@xn--mller-kva.example")),
        ("IDA@XN--MLLER-KVA.example", ("ida@xn--mller-kva.example", "ida@müller.example")),
        ("ida@xn--strae-oqa.example", ("ida@xn--strae-oqa.example", "ida@straße.example")),
        ("ida@xn--mail-.example", ("ida@xn--mail-.example",)),  # another domain than mail.example
        ("ida@xn--0000000.example", ("ida@xn--0000000.example",)),
        ("nobody", ("nobody",)),
    ],
)
def test_a_recipient_has_the_forms_of_one_domain(address: str, expected: tuple[str, ...]) -> None:
    assert spellings(address) == expected


@given(st.from_regex(r"[a-z.-]{0,4}(xn--[a-z0-9-]{0,9}\.?){1,2}[a-z]{0,3}", fullmatch=True))
def test_all_forms_are_one_domain(domain: str) -> None:
    forms = {ascii_domain(each.rpartition("@")[2]) for each in spellings(f"a@{domain}")}
    assert forms == {ascii_domain(domain)}
