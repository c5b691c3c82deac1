"""The cases of tests/golden/messages, and the whole filter over one of them."""

import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

from engagement.links.keys import Ring
from engagement.settings import load_text
from fidelity import check
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.rewrite import raw_message

ROOT = Path(__file__).resolve().parent
CASES = ROOT / "golden" / "messages"
NOW = 1_790_000_000.0
RING = Ring(()).rotated(bytes(range(32)), int(NOW) - 86_400)
DEFAULT_SETTINGS = """
smtpapi { }
ESMTP_Listener {
  click_tracking_enabled = true
  open_tracking_enabled = true
  click_tracking_scheme = "https"
  open_tracking_scheme = "https"
  tracking_domain = "track.example.net"
}
"""


class Ran(NamedTuple):
    """What became of a case's message."""

    raw: bytes
    out: bytes
    report: dict[str, Any]
    clicks: bool

    def faults(self) -> list[str]:
        return check(self.raw, self.out, self.report, clicks=self.clicks)


def run(case: Path, raw: bytes) -> Ran:
    """The whole filter over one message, with a fixed key and a clock that stands still."""
    settings = case / "settings.conf"
    text = settings.read_text() if settings.exists() else DEFAULT_SETTINGS
    facts: dict[str, Any] = {
        "client": "127.0.0.1",
        "sender": "news@example.com",
        "recipients": ["reader@example.test"],
    }
    if (case / "envelope.json").exists():
        facts |= json.loads((case / "envelope.json").read_text())
    site = Site.build(load_text(text, str(settings)), RING)
    envelope = Envelope(Client(facts["client"]), facts["sender"], tuple(facts["recipients"]))
    ticks = itertools.count()
    message = raw_message.split(raw)
    outcome = consider(
        site, envelope, message.message, now=NOW, tick=lambda: next(ticks) * facts.get("tick", 0.0)
    ).outcome
    out = message.apply(outcome) if isinstance(outcome, Plan) else raw
    return Ran(raw, out, message.report(outcome, "in.eml"), facts.get("clicks", True))


def cases() -> list[Path]:
    return sorted(path.parent for path in CASES.glob("*/in.eml"))
