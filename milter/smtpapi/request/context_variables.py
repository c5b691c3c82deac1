"""Context variables of policy and session, read by their meaning (contract.md 4.1).

`smtpapi.policy` sets them, `decision` says which source wins.

Invariants: an empty variable counts as not set; a value that is ignored gives a warning without the value.
"""

import re
from collections.abc import Mapping

from engagement.settings.lint import SHORT_EXPIRY
from engagement.settings.option_types.listeners import is_host_and_port
from engagement.settings.option_types.mail import is_list_id
from engagement.settings.option_types.scalars import truth_of
from smtpapi.request import strict_json
from smtpapi.request.labels import (
    MAX_REFERENCE,
    campaign_fault,
    choose_tags,
    is_reference,
    wrong_type,
)
from smtpapi.request.strict_json import NotJSON, Value

MAX_CUSTOMER_ID = 255  # bytes; Momentum's ids are short numbers, and each link carries one
_SECONDS = re.compile(r"[+-]?[0-9]{1,15}")


class BadVariable(ValueError):
    """Raised for a context variable that refuses the mail; str(error) is the reply's text."""


class ContextVariables:
    """The context variables, each read by its meaning; None for one not set, or ignored with a warning."""

    def __init__(self, context: Mapping[str, str]) -> None:
        self._context = context
        self.warnings: list[str] = []

    def boolean(self, name: str) -> bool | None:
        """Return the switch that a variable spells."""
        text = self._context.get(name, "")
        value = switch_value(text)
        if text and value is None:
            self._ignore(name, "true or false")
        return value

    def consent(self) -> tuple[bool | None, str]:
        """Return whether the recipient consented to be identified by an open, and the reference of that.

        What is neither true nor false is no consent.
        """
        text = self._context.get("smtpapi_consent", "")
        given = self.boolean("smtpapi_consent")
        reference = self._context.get("smtpapi_consent_reference", "")
        if reference and not is_reference(reference):
            self._ignore("smtpapi_consent_reference", f"at most {MAX_REFERENCE} bytes without line breaks")
            reference = ""
        return (False if text and given is None else given), reference

    def scheme(self, name: str) -> str:
        """Return "http", "https", or "" where the variable does not say."""
        text = self._context.get(name, "").lower()
        if text in ("", "http", "https"):
            return text
        self._ignore(name, "http or https")
        return ""

    def domain(self) -> str:
        """Return the tracking domain, "" where none is set."""
        text = self._context.get("smtpapi_tracking_domain", "")
        if not text or is_host_and_port(text):
            return text
        self._ignore("smtpapi_tracking_domain", "host or host:port")
        return ""

    def list_id(self) -> str:
        """Return the id of the list that the mail is of, in lower case, "" where none is set."""
        text = self._context.get("smtpapi_list_id", "")
        if not text or is_list_id(text):
            return text.lower()
        self._ignore("smtpapi_list_id", "a list's id, as in news.example.com")
        return ""

    def expiry(self) -> int | None:
        """Return for how many seconds links are valid."""
        text = self._context.get("smtpapi_tracking_link_expiry", "")
        if not text:
            return None
        if _SECONDS.fullmatch(text):
            if int(text) < SHORT_EXPIRY:
                self.warnings.append(
                    f"context variable smtpapi_tracking_link_expiry is below {SHORT_EXPIRY} s"
                )
            return int(text)
        self._ignore("smtpapi_tracking_link_expiry", "a whole number of seconds")
        return None

    def customer_id(self) -> str:
        """Return the customer's id, "" where none is set."""
        text = self._context.get("mo_customer_id", "")
        if len(text.encode()) <= MAX_CUSTOMER_ID:
            return text
        self._ignore("mo_customer_id", f"at most {MAX_CUSTOMER_ID} bytes")
        return ""

    def campaign(self) -> str | None:
        """Return the campaign. Raises `BadVariable` if it is too long or has line breaks."""
        text = self._context.get("smtpapi_campaign_id", "")
        if text and (fault := campaign_fault(text)):
            raise BadVariable(fault)
        return text or None

    def metadata(self) -> tuple[str, ...] | None:
        """Return the pairs of the metadata as compact JSON text. Raises `BadVariable` for no JSON object."""
        value = self._json("smtpapi_metadata")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise BadVariable(wrong_type("smtpapi_metadata", "json object"))
        return strict_json.members(value)

    def tags(self) -> tuple[str, ...] | None:
        """Return the valid tags, at most ten. Raises `BadVariable` for what is no JSON array."""
        value = self._json("smtpapi_tags")
        if value is None:
            return None
        if not isinstance(value, list):
            raise BadVariable(wrong_type("smtpapi_tags", "json array"))
        tags, warnings = choose_tags(value)
        self.warnings.extend(warnings)
        return tags

    def _json(self, name: str) -> Value:
        """Return the variable's JSON value; null counts as not set. Raises `BadVariable`."""
        text = self._context.get(name, "")
        if not text:
            return None
        try:
            value, repeated = strict_json.read(text)
        except NotJSON as error:
            raise BadVariable(f"JSON parsing error in {name}: {error}") from None
        if repeated:
            self.warnings.append(f"{len(repeated)} names repeated in {name}; the last of each counts")
        return value

    def _ignore(self, name: str, expected: str) -> None:
        self.warnings.append(f"context variable {name} ignored: expected {expected}")


def switch_value(text: str) -> bool | None:
    """Return the switch that a text spells as in the configuration, None if it spells none."""
    return truth_of(text.strip())
