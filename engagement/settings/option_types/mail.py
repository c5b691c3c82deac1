"""Types of what stands in mail: addresses, ids of mailing lists, names of header fields."""

import re

from engagement.settings.errors import OptionValueError
from engagement.settings.option_types.option_type import OptionType, quoted_value, text_of
from engagement.settings.syntax_tree import ValueNode, quoted

_LIST_ID = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.ASCII)
_LONGEST_LIST_ID = 255  # characters (contract.md 8.5; RFC 2919 2)
# Without the signs of RFC 5322's atoms that mean something in a URL.
_HEADER_NAME = re.compile(r"(?!(?i:x-msys-api$|x-smtpapi-))[!-9;-~]{1,76}")  # but those that are our own
_MAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9!$*+_.~'-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])", re.ASCII
)


def is_list_id(found: str) -> bool:
    """Return whether a text is the id of a mailing list (contract.md 8.5; RFC 2919 2)."""
    return len(found) <= _LONGEST_LIST_ID and _LIST_ID.fullmatch(found) is not None


def list_id() -> OptionType[str]:
    """Return the type of a mailing list's id, or of none; in lower case, as RFC 2919 6 compares them."""
    expected = "a list's id: letters, digits, '-', '_' and '.', no '.' at an end and no '..'"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if found and not is_list_id(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found.lower()

    return OptionType(expected, read, quoted)


def mail_address() -> OptionType[str]:
    """Return the type of an address that can stand in a mailto URL as it is (RFC 6068 2), or of none."""
    expected = "an address such as leave@example.com"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if found and not _MAIL_ADDRESS.fullmatch(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)


def header_name() -> OptionType[str]:
    """Return the type of a header field's name (RFC 5322 3.6.8), or of none."""
    expected = "the name of a header field that is not the filter's own"

    def read(value: ValueNode) -> str:
        found = text_of(value, expected)
        if found and not _HEADER_NAME.fullmatch(found):
            raise OptionValueError(f"is {quoted_value(value)}", expected)
        return found

    return OptionType(expected, read, quoted)
