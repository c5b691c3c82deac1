"""The fields for leaving a list by one click, `List-Unsubscribe` and `List-Unsubscribe-Post`, of one copy.

Not the answer to that click (`tracker_web.links.unsubscribe`), and not whose mail gets them by option
(`smtpapi.request.decision`). RFC 8058, RFC 2369 3.2, contract.md 5.7, docs/unsubscribe.md.

Invariants: mail that has one of the two fields keeps what it has. The link names the recipient of this copy
and nobody else. Both fields are added, or neither. No line is longer than RFC 5322 2.1.1 allows, since MTAs
break such lines, and with them link and signature.
"""

import re
from dataclasses import replace
from email.utils import getaddresses
from typing import Final

from engagement.links.keys import Key
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import CannotSeal, copy_sealer
from engagement.links.urls import click_url
from engagement.settings.option_types.mail import is_list_id
from smtpapi.mime import encoded_words
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange
from smtpapi.request.decision import Decision

FIELD: Final = "List-Unsubscribe"
POST_FIELD: Final = "List-Unsubscribe-Post"
_ONE_CLICK: Final = "List-Unsubscribe=One-Click"  # RFC 8058 3.1: this and nothing else
_OWN: Final = (FIELD.lower(), POST_FIELD.lower())
_LINE: Final = 998  # octets of a line without its end (RFC 5322 2.1.1)
_LONGEST_URL: Final = _LINE - len(f"{FIELD}: <>,")
_LONGEST_READ: Final = 8192  # octets of a field's value, as `injection` reads; programs show some hundreds
_LINE_END: Final = re.compile(r"[\r\n]+")
_LONGEST_NAME: Final = 100  # characters that a reader is shown of a list's name; real ones have some tens
_ID: Final = re.compile(r"<\s*([^<>\s]+)\s*>[^<>]*$")
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def applies(message: Message, decision: Decision, recipient: str) -> bool:
    """Return whether a copy is to have the two fields. recipient: whose copy it is, "" for nobody's own.

    What a program answers or reports is of no list (RFC 3834 5, RFC 6522).
    """
    if not decision.list_unsubscribe or "@" not in recipient or not message.lacks(_OWN):
        return False
    automatic = (message.first("Auto-Submitted") or b"").strip().lower().startswith(b"auto-replied")
    return not automatic and b"multipart/report" not in (message.first("Content-Type") or b"").lower()


def fields(message: Message, decision: Decision, key: Key, identity: Identity) -> tuple[HeaderChange, ...]:
    """Return the changes that add the two fields, none where no link is short enough.

    identity: of the copy, with its recipient. The link has no metadata, which events take from the injection;
    one that would be too long goes without tags and campaign.
    """
    link = _list_of(message, decision)
    bare = replace(identity, metadata="") if identity.metadata else identity
    for labelled in (True, False):
        try:
            short = bare if labelled else replace(bare, tags=(), campaign="")
            token = copy_sealer(key, short).seal(Kind.LIST_UNSUBSCRIBE, link)
        except CannotSeal:
            continue
        domain = decision.https_domain or decision.domain
        url = click_url("https", domain, token).decode("ascii")  # RFC 8058 3.1
        if len(url) <= _LONGEST_URL:
            value = f"<{url}>" + _by_mail(decision.list_mailto, token.decode("ascii"))
            return HeaderChange(FIELD, 0, value), HeaderChange(POST_FIELD, 0, _ONE_CLICK)
    return ()


def _by_mail(address: str, token: str) -> str:
    """Return the mailto URL behind the first one (RFC 2369 2: in the order of preference), "" for none."""
    if not address:
        return ""
    url = f"mailto:{address}?subject=unsubscribe%20{token}"  # RFC 6068 2
    return f",\n <{url}>" if len(url) + 3 <= _LINE else f",\n <mailto:{address}?subject=unsubscribe>"


def _list_of(message: Message, decision: Decision) -> Link | None:
    """Return what the link says of the list: its id as the target, and a name that its readers know.

    Without a list the name is the author's. None: neither is known.
    """
    own, name = _list_id(message)
    list_id = own or decision.list_id
    name = shown(encoded_words.decode(name if list_id else _author(message)))
    return Link(list_id.encode("ascii"), name) if list_id or name else None


def list_id_in(message: Message) -> str:
    """Return the id in a message's List-Id, in lower case, "" for none."""
    return _list_id(message)[0]


def _list_id(message: Message) -> tuple[str, str]:
    """Return the id in List-Id and the phrase before it, "" each for none (RFC 2919 3)."""
    text = _text_of(message, "list-id")
    found = _ID.search(text)
    list_id = (found[1] if found else text).lower()  # RFC 2919 6: letter case does not matter
    if not is_list_id(list_id):
        return "", ""
    return list_id, text[: found.start()].strip(' \t"') if found else ""


def _author(message: Message) -> str:
    """Return the author's name in From, else the address, "" for neither."""
    try:
        pairs = getaddresses([_text_of(message, "from")])
    except (ValueError, IndexError, RecursionError):  # the standard library's parser on what strangers write
        return ""
    return next((name or address for name, address in pairs if name or address), "")


def _text_of(message: Message, lower: str) -> str:
    """Return the value of the first field of a name, unfolded, "" for none. lower: the name."""
    value = next(iter(message.all(lower)), b"")[:_LONGEST_READ]
    return _LINE_END.sub("", value.decode("utf-8", "replace")).strip(" \t")


def shown(text: str) -> str:
    """Return a name as people may be shown it: on one line, without signs that hide or turn it, cut."""
    return " ".join(_UNSEEN.sub(" ", text).split())[:_LONGEST_NAME]
