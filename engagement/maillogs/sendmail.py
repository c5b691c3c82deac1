"""What Sendmail's lines say about deliveries: forms of Sendmail 8.15 to 8.18.

One line may name several recipients, who share its outcome; `[more]` ends a list that the next line goes on
with. Sendmail does not write which address a recipient was expanded from, and does not say when a message has
left the queue. All expressions are linear in the line.
"""

import re
from typing import Final

from engagement.maillogs.facts import Attempt, Expired, Fact, Named, Status
from engagement.maillogs.postfix import queued_as

_ID: Final = r"(?P<id>[0-9A-Za-z]{10,30})"
_TO: Final = re.compile(rf"{_ID}: to=(?P<to>.*?), (?P<rest>(?:ctladdr|delay|xdelay|mailer)=.*)", re.DOTALL)
_FROM: Final = re.compile(
    rf"{_ID}: from=.*?, size=\d+, class=-?\d+, nrcpts=(?P<count>\d{{1,9}}), "
    r"msgid=(?P<header>[^\s,]{1,998})",
    re.DOTALL,
)
_EXPIRED: Final = re.compile(
    rf"{_ID}: [0-9A-Za-z]{{10,30}}: (?:DSN|return to sender|postmaster notify): "
    r"(?:Cannot send message (?:for|within)|Message could not be delivered)"
)
_RELAY: Final = re.compile(r"(?P<host>[^\s,]{0,255}?)\.?(?: \[(?P<address>[^\[\]\s]{1,64})\])?\Z")
_DELAY: Final = re.compile(r"(?:(\d{1,4})\+)?(\d{1,3}):(\d\d):(\d\d)\Z")
_FAILURES: Final = (  # texts of sysexits.h, where no dsn= is written
    "user unknown",
    "host unknown",
    "service unavailable",
    "data format error",
    "permission denied",
    "local configuration error",
    "remote protocol error",
)


def facts(text: str) -> tuple[Fact, ...]:
    """Return what a line says: an attempt for each of its recipients; () for a line of another kind."""
    if found := _FROM.match(text):
        return (Named(found["id"], found["header"], int(found["count"])),)
    if found := _EXPIRED.match(text):
        return (Expired(found["id"]),)
    found = _TO.match(text)
    if found is None:
        return ()
    head, separator, stat = found["rest"].partition("stat=")
    values = dict(part.split("=", 1) for part in head.split(", ") if "=" in part)
    enhanced = values.get("dsn", "").strip(" ,")
    status = _status(stat, enhanced) if separator else None
    if status is None:
        return ()
    relay = _RELAY.match(values.get("relay", "").strip(" ,"))
    host = relay["host"].strip("[]") if relay else ""
    address = (relay["address"] or "") if relay else ""
    reply = values.get("reply", "")
    return tuple(
        Attempt(
            found["id"],
            recipient,
            "",
            status,
            _reason(stat, reply),
            enhanced,
            # The priority grows with each try: two of one second differ.
            f"{values.get('delay', '')} {values.get('pri', '')}",
            _milliseconds(values.get("delay", "")),
            host,
            address or (host if host[:1].isdigit() or ":" in host else ""),
            0,
            values.get("mailer", ""),
            queued_as(stat) if status == Status.SENT else "",
        )
        for recipient in _recipients(found["to"])
    )


def _reason(stat: str, reply: str) -> str:
    """Return the text of the other side: what it replied, where the log has it, else Sendmail's own word."""
    return f"{stat} ({reply})" if reply and reply not in stat else stat


def _recipients(text: str) -> tuple[str, ...]:
    """Return the addresses of a list. A comma in a quoted local part does not end one (RFC 5321 4.1.2)."""
    text = text.removesuffix(" [more]")
    parts, begin, quoted = [], 0, False
    for place, sign in enumerate(text):
        if sign == '"' and text[place - 1 : place] != "\\":
            quoted = not quoted
        elif sign == "," and not quoted:
            parts.append(text[begin:place])
            begin = place + 1
    addresses = (part.strip().removeprefix("<").removesuffix(">") for part in (*parts, text[begin:]))
    return tuple(address for address in addresses if address)


def _status(stat: str, enhanced: str) -> Status | None:
    word = stat.lower()
    if word.startswith("sent"):
        return Status.SENT
    if word.startswith("queued"):
        return None
    if word.startswith(("cannot send message", "message could not be delivered")):
        return Status.EXPIRED
    if word.startswith("deferred") or enhanced.startswith("4"):
        return Status.DEFERRED
    return Status.BOUNCED if enhanced.startswith("5") or word.startswith(_FAILURES) else None


def _milliseconds(delay: str) -> int:
    found = _DELAY.match(delay.strip(" ,"))
    if found is None:
        return -1
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000
