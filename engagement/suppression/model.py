"""An entry of the suppression list as a value, and the key that it is kept under.

Not how it is kept (`book`), nor how people write one (`reading`). Invariant: two entries have the same key
exactly when one takes the other's place: same tenant, recipient, list and kind of mail.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from engagement.domain_names import ascii_domain
from engagement.settings.option_types.mail import is_list_id

KIND: Final = "suppression"  # of the registry's documents
LONGEST_RECIPIENT: Final = 254  # RFC 5321 4.5.3.1.3, without the brackets of a path
LONGEST_DESCRIPTION: Final = 1024  # characters; a guess, as SparkPost names no limit
_APART: Final = "\x1f"  # in no address, list or tenant: it is a control character
_LONGEST_TENANT: Final = 255  # characters
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff\ud800-\udfff]")


Data = Mapping[str, Any]  # of a document of the registry


class MailKind(StrEnum):
    """The kind of mail that is suppressed, SparkPost's `type`."""

    TRANSACTIONAL = "transactional"
    NON_TRANSACTIONAL = "non_transactional"


class Source(StrEnum):
    """Where an entry comes from, in SparkPost's words."""

    SPAM_COMPLAINT = "Spam Complaint"
    LIST_UNSUBSCRIBE = "List Unsubscribe"
    BOUNCE_RULE = "Bounce Rule"
    UNSUBSCRIBE_LINK = "Unsubscribe Link"
    MANUALLY_ADDED = "Manually Added"
    COMPLIANCE = "Compliance"


class BadEntryError(ValueError):
    """An entry that cannot be kept. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    recipient: an address, as `normalised` gives it. list_id: RFC 2919's, "" for all mail of the kind.
    tenant: whose mail it is about, "" for the site's own. created_ms, updated_ms: Unix milliseconds, 0 for
    not known yet.
    """

    recipient: str
    type: MailKind
    source: Source = Source.MANUALLY_ADDED
    description: str = ""
    list_id: str = ""
    tenant: str = ""
    created_ms: int = 0
    updated_ms: int = 0

    @property
    def key(self) -> str:
        """The key of the entry's document."""
        return key_of(self.tenant, self.recipient, self.list_id, self.type)


def normalised(address: str) -> str:
    """Return an address as the list has it: in lower case (contract.md 7.2, `rcpt_to`), its domain in ASCII.

    What is no address gives another text that is none.
    """
    text = address.strip().removeprefix("<").removesuffix(">").strip()
    local, sign, domain = text.lower().rpartition("@")
    return unicodedata.normalize("NFC", local) + sign + ascii_domain(domain)


def key_of(tenant: str, recipient: str, list_id: str, kind: MailKind) -> str:
    """Return the key of an entry. recipient: normalised."""
    return _APART.join((tenant, recipient, list_id.lower(), kind.value))


def prefix_of(tenant: str, recipient: str | None = None) -> str:
    """Return what the keys of a tenant, or of one recipient of theirs, begin with."""
    parts = (tenant,) if recipient is None else (tenant, recipient)
    return "".join(part + _APART for part in parts)


def checked(entry: Entry) -> Entry:
    """Return the entry as it is kept. Raises BadEntryError for one that names no address or no list."""
    recipient = normalised(entry.recipient)
    local, sign, domain = recipient.rpartition("@")
    if not (local and sign and domain) or len(recipient) > LONGEST_RECIPIENT or _UNSEEN.search(recipient):
        raise BadEntryError("recipient must be an address")
    if " " in domain or (any(each.isspace() for each in local) and not local.startswith('"')):
        raise BadEntryError("recipient must be an address")
    if entry.list_id and not is_list_id(entry.list_id):
        raise BadEntryError(
            "list_id must have 1 to 255 letters, digits, '-', '_' and '.', no '.' at an end and no '..'"
        )
    if _UNSEEN.search(entry.tenant) or len(entry.tenant) > _LONGEST_TENANT:
        raise BadEntryError("a tenant has at most 255 characters, without control characters")
    description = _UNSEEN.sub(" ", entry.description)[:LONGEST_DESCRIPTION]
    return replace(entry, recipient=recipient, description=description)


def data_of(entry: Entry) -> Data:
    """Return the document of an entry."""
    return {
        "recipient": entry.recipient,
        "type": entry.type.value,
        "source": entry.source.value,
        "description": entry.description,
        "list_id": entry.list_id,
        "tenant": entry.tenant,
        "created_ms": entry.created_ms,
        "updated_ms": entry.updated_ms,
    }


def entry_of(data: Data) -> Entry:
    """Return the entry of a document. Raises BadEntryError for a document that is none."""
    try:
        return Entry(
            str(data["recipient"]),
            MailKind(data["type"]),
            Source(data["source"]),
            _text(data, "description"),
            _text(data, "list_id"),
            _text(data, "tenant"),
            int(data.get("created_ms", 0)),
            int(data.get("updated_ms", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadEntryError(f"a document that is no entry: {error!r}") from None


def _text(data: Data, name: str) -> str:
    value: Any = data.get(name, "")
    return value if isinstance(value, str) else ""
