"""A probe mail through the MTA, and what its copies must be like where they arrive.

Only on request, with addresses that the operator names: it is real mail. Its copies are read from mailboxes
on this host; what the filter decided is read from the injection's record in the spool.
"""

import logging
import re
import smtplib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final

import dkim

from engagement.events.model import Injection
from engagement.events.record import BadRecord, decode
from engagement.links.keys import Ring
from engagement.links.model import OPENS, Opened
from engagement.links.token import BadToken, open_token
from engagement.links.urls import read_url
from engagement.spool.format import MAGIC, scan
from engagement.spool.names import OPEN, READY
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.mta.signer import FIELD

CHECK: Final = "probe"
_TARGET: Final = "https://example.org/smtpapi-doctor"
_TEXT: Final = """\
From: {sender}\r
To: {to}\r
Subject: smtpapi doctor\r
Date: {date}\r
Message-ID: <{id}>\r
List-Unsubscribe: <https://example.org/unsubscribe>\r
List-Unsubscribe-Post: List-Unsubscribe=One-Click\r
X-MSYS-API: {{"campaign_id":"smtpapi-doctor"}}\r
MIME-Version: 1.0\r
Content-Type: text/html; charset=utf-8\r
\r
<html><body><p>A test by smtpapi doctor. <a href="{target}">A link</a>.</p></body></html>\r
"""
_URL: Final = re.compile(rb"https?://[^\s\"'<>]+/[fq]/[^\s\"'<>]+")


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent and where it is looked for. id: the Message-ID. server: host and port of the MTA."""

    sender: str
    recipients: tuple[str, ...]
    id: str
    server: tuple[str, int]


def send(request: Request) -> str:
    """Hand the mail in; return why it was not taken, "" if it was."""
    text = _TEXT.format(
        sender=request.sender,
        to=", ".join(request.recipients),
        date=formatdate(),
        id=request.id,
        target=_TARGET,
    )
    try:
        with smtplib.SMTP(*request.server, timeout=60) as smtp:
            refused = smtp.sendmail(request.sender, list(request.recipients), text.encode())
    except smtplib.SMTPResponseException as error:
        reply = error.smtp_error
        return f"{error.smtp_code} {reply.decode('utf-8', 'replace') if isinstance(reply, bytes) else reply}"
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except (OSError, smtplib.SMTPException) as error:
        return str(error)
    return "; ".join(
        f"{to}: {code} {reply.decode('utf-8', 'replace')}" for to, (code, reply) in refused.items()
    )


def reasons(spool: Path, message_id: str) -> list[str]:
    """Return what the filter decided of a mail, "" for tracked, as far as the spool still holds it.

    Raises OSError where the spool cannot be read.
    """
    found = []
    for path in sorted(spool.iterdir()):
        if path.suffix not in (OPEN, READY):
            continue
        try:
            raw = path.read_bytes()
        except FileNotFoundError:  # shipped at this moment
            continue
        for record, _ in scan(raw, len(MAGIC)).records:
            if message_id.encode() in record:
                found += _outcome(record, message_id)
    return found


def _outcome(record: bytes, message_id: str) -> list[str]:
    try:
        event = decode(record)
    except BadRecord:
        return []
    return [event.outcome] if isinstance(event, Injection) and message_id in event.message_id_header else []


def check(
    request: Request,
    copies: Sequence[bytes],
    decided: Sequence[str],
    ring: Ring | None,
    lookup: Callable[..., bytes | None],
    *,
    each_own: bool,
) -> Iterator[Finding]:
    """Yield what is wrong with the copies.

    decided: reasons by which the filter left them alone, "" for none. lookup: returns a TXT record, for DKIM.
    each_own: whether several recipients get links of their own here.
    """
    untracked = sorted({reason for reason in decided if reason and reason != "split"})
    if untracked:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the filter left the probe alone: {', '.join(untracked)}",
            "Mail like it is not measured.",
            f"docs/reasons.md, {untracked[0]}, says what to do; smtpapi check-config shows what is in force",
        )
    if len(copies) < len(request.recipients):
        yield Finding(
            CHECK,
            Level.ERROR if not copies else Level.WARNING,
            f"{len(copies)} of {len(request.recipients)} copies of the probe came into the mailboxes named",
            "Mail waits, bounced, or went where the doctor does not look.",
            "mailq; then the mail log, by the Message-ID " + request.id,
        )
    bad: list[Finding] = []
    owners: list[str] = []
    for copy in copies:
        links = _links(copy, ring)
        bad += _check_copy(copy, links, tracked=not untracked and ring is not None)
        bad += _check_signatures(copy, lookup)
        owners += sorted({each.identity.recipient.lower() for each in links})
    several = len(request.recipients) > 1
    if several and each_own and owners and not untracked and len(set(owners)) < len(copies):
        bad.append(
            Finding(
                CHECK,
                Level.ERROR,
                f"the links of {len(copies)} copies are of {len(set(owners))} recipient(s)",
                "Clicks of one reader count as another's.",
                "smtpapi doctor --only hop; the hop of docs/postfix.md",
            )
        )
    yield from bad
    if copies and not untracked and not any(each.level is Level.ERROR for each in bad):
        yield Finding(CHECK, Level.OK, f"{len(copies)} copies of the probe are as they should be")


def _links(copy: bytes, ring: Ring | None) -> list[Opened]:
    found = []
    for url in _URL.findall(copy.replace(b"=\n", b"").replace(b"&amp;", b"&")):
        requested = read_url(url)
        if requested is None or ring is None:
            continue
        try:
            found.append(open_token(requested.token, ring))
        except BadToken:
            continue
    return found


def _check_copy(copy: bytes, links: Sequence[Opened], *, tracked: bool) -> Iterator[Finding]:
    head = copy.partition(b"\n\n")[0].lower()
    for name in (b"x-msys-api", b"x-smtpapi-split"):
        if re.search(rb"^" + name + rb":", head, re.MULTILINE):
            yield Finding(
                CHECK,
                Level.ERROR,
                f"a copy still has its {name.decode()} field",
                "It tells receivers what only this site should know. The filter did not see the mail, or not "
                "on both passes, or its client is not trusted (status=untouched, reason=untrusted in the "
                "log).",
                "smtpapi doctor --only milters,socket,hop; Relay_Hosts in smtpapi.conf",
            )
    clicks = [each for each in links if each.kind not in OPENS]
    if tracked and not clicks and _TARGET.encode() in copy:
        yield Finding(
            CHECK,
            Level.ERROR,
            "a copy has no tracked link",
            "Its clicks are not seen.",
            "smtpapi doctor --only milters,socket; the filter's log by the Message-ID",
        )
    elif tracked and not [each for each in links if each.kind in OPENS]:
        yield Finding(
            CHECK,
            Level.NOTE,
            "a copy has no pixel",
            "Its opens are not seen.",
            "open_tracking_enabled = true in smtpapi.conf, if opens are wanted",
        )


def _check_signatures(copy: bytes, lookup: Callable[..., bytes | None]) -> Iterator[Finding]:
    """Yield DKIM signatures that fail, or that leave the field for one-click out (RFC 8058 4)."""
    wire = copy.replace(b"\n", b"\r\n")
    quiet = logging.getLogger(f"{__name__}.dkimpy")
    quiet.setLevel(logging.CRITICAL + 1)  # what it would log is a finding
    verifier = dkim.DKIM(wire, logger=quiet)
    values = [value for name, value in verifier.headers if name.lower() == b"dkim-signature"]
    covered = [FIELD.encode() in _tag(value, b"h").lower().split(b":") for value in values]
    if values and not any(covered):
        yield Finding(
            CHECK,
            Level.WARNING,
            "no DKIM signature of a copy covers List-Unsubscribe-Post",
            "Gmail and Yahoo show their unsubscribe button only where a signature covers it (RFC 8058 4).",
            "SignHeaders *,+List-Unsubscribe-Post in /etc/opendkim.conf; rspamd: sign_headers",
        )
    for number, value in enumerate(values):
        domain = _tag(value, b"d").decode("ascii", "replace")
        try:
            good = verifier.verify(idx=number, dnsfunc=lookup)
            why = "it does not fit the mail"
        except dkim.DKIMException as error:
            good, why = False, str(error)
        if not good:
            yield Finding(
                CHECK,
                Level.ERROR,
                f"the DKIM signature of {domain} fails: {why}",
                "Receivers see a forged or damaged mail: it was signed before the filter, or its key is not "
                "in the DNS.",
                "smtpapi doctor --only milters; then the key at "
                f"{_tag(value, b's').decode('ascii', 'replace')}._domainkey.{domain}",
            )


def _tag(value: bytes, name: bytes) -> bytes:
    found = re.search(rb"(?:^|;)\s*" + name + rb"=([^;]*)", value)
    return re.sub(rb"\s+", b"", found[1]) if found else b""
