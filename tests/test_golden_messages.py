"""Golden messages: each folder of tests/golden/messages is a mail, and what must become of it, byte for byte.

in.eml has bare LF and runs as it is and with CRLF. plan.json is the report line and out.eml the message of
the LF run; both change only by
`PYTHONPATH=milter:. python tests/test_golden_messages.py update [FOLDER…]`. settings.conf and
envelope.json in the folder replace the usual ones, README says what the case holds. Judged by
tests/fidelity.py as well.
"""

import itertools
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engagement.links.keys import Ring
from engagement.settings import load_text
from fidelity import check
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Plan, Skip, Why
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.rewrite import raw_message

ROOT = Path(__file__).resolve().parent
CASES = ROOT / "golden" / "messages"
NOW = 1_790_000_000.0
RING = Ring(()).rotated(bytes(range(32)), int(NOW) - 86_400)
USUAL = """
smtpapi { }
ESMTP_Listener {
  click_tracking_enabled = true
  open_tracking_enabled = true
  click_tracking_scheme = "https"
  open_tracking_scheme = "https"
  tracking_domain = "track.example.net"
}
"""
OF_REWRITING = {
    *(Why.SIGNED, Why.ENCRYPTED, Why.SMIME, Why.PGP_INLINE, Why.REPORT, Why.AMBIGUOUS_MIME, Why.TOO_LARGE),
    *(Why.TOO_MANY_PARTS, Why.TOO_MANY_LINKS, Why.OVER_TIME, Why.NO_PART, Why.NO_LINK, Why.VERIFY_FAILED),
}
_TOKEN = re.compile(rb"/(f/[A-Za-z0-9._-]+|q)/[A-Za-z0-9_-]+|X-Smtpapi-Id: [^\r\n]*")


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
    text = settings.read_text() if settings.exists() else USUAL
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


def _dump(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=1) + "\n"


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_message_becomes_what_its_golden_file_says(case: Path) -> None:
    ran = run(case, (case / "in.eml").read_bytes())
    assert _dump(ran.report) == (case / "plan.json").read_text()
    assert ran.out == (case / "out.eml").read_bytes()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_nothing_differs_outside_the_reported_edits(case: Path) -> None:
    ran = run(case, (case / "in.eml").read_bytes())
    assert ran.faults() == []


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_crlf_run_is_the_lf_run_with_other_line_ends(case: Path) -> None:
    lf = run(case, (case / "in.eml").read_bytes())
    crlf = run(case, lf.raw.replace(b"\n", b"\r\n"))
    assert crlf.faults() == []
    assert _gist(crlf.report) == _gist(lf.report)
    hidden = any(edit["kind"] == "reencoded" for edit in lf.report["edits"]) or b"=00" in lf.out
    if not hidden:
        # Ids, and so tokens, come from the body's bytes; their lengths do not, so lines break alike.
        assert _masked(crlf.out) == _masked(lf.out.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_case_says_what_it_is_for(case: Path) -> None:
    assert len((case / "README").read_text().strip()) > 10


def test_each_reason_of_rewriting_has_its_case() -> None:
    reports = [json.loads((case / "plan.json").read_text()) for case in cases()]
    skipped = {item["reason"] for report in reports for item in report["skipped"]}
    assert skipped == set(Skip)
    reasons = {report["reason"] for report in reports}
    elsewhere = {
        Why.VERIFY_FAILED
    }  # a second opinion that never differs here: tests/unit/test_rewrite_verify.py
    assert {why for why in OF_REWRITING if why not in elsewhere} <= reasons


def _gist(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what depends on line ends."""
    return report | {
        "edits": [_edit_gist(edit) for edit in report["edits"]],
        "skipped": [
            (item["part"], item["url"].replace("\r", ""), item["reason"]) for item in report["skipped"]
        ],
    }


def _edit_gist(edit: dict[str, Any]) -> tuple[Any, ...]:
    inner = [_edit_gist(inner) for inner in edit.get("inner", ())]
    return edit["part"], edit["type"], edit["kind"], edit["target"], edit["name"], inner


def _masked(message: bytes) -> bytes:
    unbroken = message.replace(b"=\r\n", b"")
    return _TOKEN.sub(lambda found: b"#" * len(found[0]), unbroken)


def update(names: list[str]) -> None:
    """Write plan.json and out.eml anew; review the difference before committing it."""
    for case in cases():
        if names and case.name not in names:
            continue
        ran = run(case, (case / "in.eml").read_bytes())
        (case / "plan.json").write_text(_dump(ran.report))
        (case / "out.eml").write_bytes(ran.out)
        faults = ran.faults()
        print(f"{case.name}: {ran.report['action']} {ran.report['reason']}", *faults, sep="\n  ")


if __name__ == "__main__":
    if sys.argv[1:2] != ["update"]:
        sys.exit(__doc__)
    update(sys.argv[2:])
