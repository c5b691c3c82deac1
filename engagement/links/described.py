"""What a tracked URL holds, in words, for the person who has the keys. Not the answer to a click."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from engagement.links.keys import Ring
from engagement.links.model import CLICKS, OPENS, RAW_URL, Opened
from engagement.links.token import BadToken, Reason, open_token
from engagement.links.urls import read_url

ERRORS: Final[dict[Reason, str]] = {
    "length": "the token is too short or too long; part of the link is missing",
    "encoding": "the token is damaged: no base64url as we write it",
    "version": "a token of a version that this program does not know; use the newer program",
    "kind": "a token of a kind that this program does not know",
    "key": "its key is not in this ring, or was revoked",
    "forged": "not sealed with this key for this kind: altered, or made by somebody else",
    "payload": "sealed with this key, but its contents are not of the format",
}


def describe(url: str, ring: Ring, now: float, tenant: str = "") -> dict[str, Any]:
    """Return what a tracked URL holds, or `error`. now: Unix seconds, by which it has expired or not."""
    requested = read_url(url.strip().encode("utf-8", "surrogateescape"))
    if requested is None:
        return {"error": "not a tracked link: expected /f/a/TOKEN or /q/TOKEN"}
    opened: Opened | None = None
    error = ""
    for token in (requested.token, *requested.others):
        try:
            opened = open_token(token, ring, tenant)
            break
        except BadToken as bad:
            error = error or ERRORS[bad.reason]
    if opened is None:
        return {"error": error}
    if opened.kind in (CLICKS if requested.family == "open" else OPENS):
        return {"error": f"a token of kind {opened.kind.name.lower()} in the place of another kind"}
    return _fields(opened, now) | {"spoiled": requested.spoiled}


def _fields(opened: Opened, now: float) -> dict[str, Any]:
    identity, link = opened.identity, opened.link
    fields: dict[str, Any] = {"kind": opened.kind.name.lower(), "key_id": opened.key_id}
    if link is not None:
        fields["target"] = link.target.decode("latin-1")
        fields["name"] = link.name or RAW_URL
        fields["unsubscribe"] = link.unsubscribe
        if link.ordinal >= 0:
            fields["ordinal"] = link.ordinal
            fields["part"] = link.part
    return fields | {
        "recipient": identity.recipient,
        "rcpt_type": identity.rcpt_type,
        "message_id": identity.message_id.hex(),
        "transmission_id": str(identity.transmission_id),
        "campaign": identity.campaign,
        "tags": list(identity.tags),
        "metadata": _metadata(identity.metadata),
        "customer_id": identity.customer_id,
        "transactional": identity.transactional,
        "issued": _iso(identity.issued),
        "expiry": _iso(identity.expiry),
        "expired": identity.expiry <= now,
    }


def _metadata(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _iso(moment: int) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # an expiry may lie beyond the years a calendar knows
        return str(moment)
