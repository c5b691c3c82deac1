"""A pixel and a link asked for from outside in, and what the tracker recorded of that.

The link is genuine and the doctor's own: made with the ring here, for no message and no recipient, asked for
with HEAD, which is recorded as a probe that no figure counts.
"""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engagement.events.model import Hit
from engagement.events.record import BadRecord, decode
from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer, unpack
from engagement.spool.format import MAGIC, scan
from engagement.spool.names import OPEN, READY
from smtpapi.doctor.web.http import Reply, request

TARGET: Final = "https://example.org/smtpapi-doctor?a=1&b=%20"
CLAIMED: Final = (
    "192.0.2.77"  # of a documentation network (RFC 5737): nobody's, so whoever shows it believed us
)
_LIFE: Final = 300  # seconds for which the doctor's link is recorded; it is opened at once
_WAIT: Final = 5.0  # seconds; the record is written before the answer, and may be read a moment later


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of the requests to one address.

    pixel, link: the answers. hit: what the tracker recorded of the link, None where nothing was found.
    """

    host: str
    address: str
    port: int
    tls: bool
    pixel: Reply
    link: Reply
    hit: Hit | None = None

    @property
    def place(self) -> str:
        """The address that was asked, for people."""
        return f"{'https' if self.tls else 'http'}://{self.host} at {self.address} port {self.port}"


def probe_link(ring: Ring, now: float) -> tuple[bytes, bytes]:
    """Return the path of a link of the doctor's own, and the id by which its hit is known."""
    message_id = secrets.token_bytes(16)
    issued = int(now)
    identity = Identity(message_id, 0, "", issued, issued + _LIFE, campaign="smtpapi-doctor")
    token = copy_sealer(ring.signing, identity).seal(Kind.CLICK, Link(TARGET.encode(), "smtpapi-doctor"))
    return b"/f/doctor/" + token, message_id


def ask(
    host: str, address: str, port: int, ring: Ring | None, spool: Path | None, *, tls: bool, source: str = ""
) -> Seen:
    """Return what one address answers, and what the tracker recorded.

    ring: None leaves the link out. spool: None does not look for the hit. source: the address to ask from.
    """
    pixel = request(host, address, port, "GET", "/q/doctor", tls=tls, source=source)
    seen = Seen(host, address, port, tls, pixel, Reply(trouble="not asked"))
    if ring is None or pixel.trouble:
        return seen
    path, message_id = probe_link(ring, time.time())
    link = request(
        host,
        address,
        port,
        "HEAD",
        path.decode(),
        tls=tls,
        headers={"X-Forwarded-For": CLAIMED},
        source=source,
    )
    hit = None
    if spool is not None and link.status == 302:
        hit = _found(spool, message_id)
    return Seen(host, address, port, tls, pixel, link, hit)


def _found(spool: Path, message_id: bytes) -> Hit | None:
    """Return the hit of the doctor's link as soon as it is in the spool. Raises OSError where it is shut."""
    end = time.monotonic() + _WAIT
    while True:
        for path in sorted(spool.iterdir()):
            if path.suffix not in (OPEN, READY):
                continue
            try:
                raw = path.read_bytes()
            except FileNotFoundError:  # shipped at this moment
                continue
            for record, _ in scan(raw, len(MAGIC)).records:
                if message_id in record and (hit := _hit(record, message_id)) is not None:
                    return hit
        if time.monotonic() > end:
            return None
        time.sleep(0.1)


def _hit(record: bytes, message_id: bytes) -> Hit | None:
    try:
        event = decode(record)
    except BadRecord:
        return None
    if not isinstance(event, Hit):
        return None
    return event if unpack(event.kind, event.packed)[0].message_id == message_id else None
