"""What Postfix's lines say about deliveries: forms of Postfix 3.4 to 3.10.

Lines of smtpd and pickup (a message begins), of cleanup (its Message-ID), of the delivery agents (smtp, lmtp,
local, virtual, pipe, error, discard) and of qmgr (expired, removed). The syslog name before the agent's may
be any (`postfix-out/smtp`). Postfix writes one recipient a line, and no control characters. All expressions
are linear in the line.
"""

import re
from typing import Final

from engagement.maillogs.facts import Attempt, Began, Expired, Fact, Gone, Named, Status

_ID: Final = r"(?P<id>[0-9A-Za-z]{5,30})"
# A quoted local part may hold what ends an address elsewhere (RFC 5321 4.1.2).
_ADDRESS: Final = r'<(?P<{}>(?:"(?:[^"\\]|\\.)*+"|[^">])*+)>'
_DELIVERY: Final = re.compile(
    rf"{_ID}: to={_ADDRESS.format('to')},(?: orig_to={_ADDRESS.format('orig')},)? (?P<rest>.*)", re.DOTALL
)
_SIMPLE_DELIVERY: Final = re.compile(
    rf"{_ID}: to=<(?P<to>[^>]*)>,(?: orig_to=<(?P<orig>[^>]*)>,)? (?P<rest>.*)", re.DOTALL
)
_EXPIRED: Final = re.compile(
    rf"{_ID}: from={_ADDRESS.format('sender')}, status=(?:force-)?expired, returned to sender"
)
_BEGAN: Final = re.compile(rf"{_ID}: (?:client|uid)=")
# Of a client that sends XFORWARD, as the hop of etc/postfix does.
_EARLIER: Final = re.compile(r", orig_queue_id=(?P<earlier>[0-9A-Za-z]{5,30})(?=,|\Z)")
_REQUEUED: Final = re.compile(r"> orig_id=(?P<earlier>[0-9A-Za-z]{5,30})\Z")  # by postsuper -r
_FORWARDED: Final = re.compile(rf"forwarded as {_ID}\Z")  # by local(8): aliases(5) and .forward
_NAMED: Final = re.compile(rf"{_ID}: message-id=(?P<header>\S(?:.{{0,996}}\S)?)")
_GONE: Final = re.compile(rf"{_ID}: removed\Z")
_RELAY: Final = re.compile(
    r"(?P<host>[^\[\]\s]{0,255})\[(?P<address>[^\[\]\s]{1,255})\](?::(?P<port>\d{1,5}))?"
)
_QUEUED: Final = re.compile(
    rf"queued as <?{_ID}\b|{_ID.replace('id', 'other')} Message accepted for delivery"
)

_AGENTS: Final = {
    "smtp": "esmtp",
    "lmtp": "lmtp",
    "local": "local",
    "virtual": "virtual",
    "pipe": "pipe",
    "error": "error",
    "discard": "discard",
    "qmgr": "error",  # where it could not give the mail to an agent
    "oqmgr": "error",
    "cleanup": "error",  # where it bounces what sendmail(1) handed in
}
_STATUS: Final = {
    "sent": Status.SENT,
    "deferred": Status.DEFERRED,
    "bounced": Status.BOUNCED,
    "SOFTBOUNCE": Status.DEFERRED,  # soft_bounce = yes, older releases
    "expired": Status.EXPIRED,
    "force-expired": Status.EXPIRED,
}


def fact(program: str, text: str) -> Fact | None:
    """Return what a line says, None where that is no delivery. program: the syslog tag."""
    prefix, slash, agent = program.rpartition("/")
    if not slash or not prefix:
        return None
    if agent == "cleanup" and (found := _NAMED.match(text)):
        return Named(found["id"], found["header"] if found["header"] != "<>" else "")
    if agent in _AGENTS and (attempt := _attempt(agent, text)) is not None:
        return attempt
    if agent in ("smtpd", "pickup"):
        found, earlier = _BEGAN.match(text), (_EARLIER if agent == "smtpd" else _REQUEUED).search(text)
        return Began(found["id"], earlier["earlier"] if earlier else "") if found else None
    if agent in ("qmgr", "oqmgr"):
        if found := _EXPIRED.match(text):
            return Expired(found["id"])
        return Gone(found["id"]) if (found := _GONE.match(text)) else None
    return Gone(found["id"]) if agent == "postsuper" and (found := _GONE.match(text)) else None


def _attempt(agent: str, text: str) -> Attempt | None:
    found = _DELIVERY.match(text) or _SIMPLE_DELIVERY.match(text)
    if found is None:
        return None
    head, separator, tail = found["rest"].partition("status=")
    word, _, reason = tail.partition(" (")
    status = _STATUS.get(word.rstrip(","))
    if not separator or status is None or (agent == "cleanup" and status != Status.BOUNCED):
        return None  # an address probe (deliverable, undeliverable), or no such line
    values = dict(part.split("=", 1) for part in head.split(", ") if "=" in part)
    if agent == "discard" and status == Status.SENT:
        status = Status.DISCARDED
    relay = _RELAY.match(values.get("relay", ""))
    reason = reason.removesuffix(")")
    return Attempt(
        found["id"],
        found["to"],
        found["orig"] or "",
        status,
        reason,
        values.get("dsn", ""),
        f"{values.get('delay', '')} {values.get('delays', '')}",
        _milliseconds(values.get("delay", "")),
        relay["host"] if relay else "",
        relay["address"] if relay else "",
        int(relay["port"] or 0) if relay else 0,
        _AGENTS[agent],
        _next_queue_id(agent, reason) if status == Status.SENT else "",
    )


def _next_queue_id(agent: str, reason: str) -> str:
    if agent != "local":
        return queued_as(reason)
    found = _FORWARDED.match(reason)
    return found["id"] if found else ""


def queued_as(reply: str) -> str:
    """Return the queue id that a server gave the message, as its reply says; "" if it does not.

    Of several, where a content filter repeats what it was given, the last.
    """
    found = ""
    for each in _QUEUED.finditer(reply):
        found = each["id"] or each["other"]
    return found


def _milliseconds(seconds: str) -> int:
    try:
        return max(0, round(float(seconds[:20]) * 1000))
    except (ValueError, OverflowError):
        return -1
