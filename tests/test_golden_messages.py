"""Golden messages: each folder of tests/golden/messages is a mail, and what must become of it, byte for byte.

in.eml has bare LF and runs as it is and with CRLF. plan.json is the report line and out.eml the message of
the LF run; both change only by
`PYTHONPATH=milter:. python tests/test_golden_messages.py update [FOLDER…]`. settings.conf and
envelope.json in the folder replace the default ones, README says what the case holds. Judged by
tests/fidelity.py as well.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from golden_cases import cases, run
from smtpapi.model.outcome import Skip, Why

OF_REWRITING = {
    *(Why.SIGNED, Why.ENCRYPTED, Why.SMIME, Why.PGP_INLINE, Why.REPORT, Why.AMBIGUOUS_MIME, Why.TOO_LARGE),
    *(Why.TOO_MANY_PARTS, Why.TOO_MANY_LINKS, Why.OVER_TIME, Why.NO_PART, Why.NO_LINK, Why.VERIFY_FAILED),
}
_TOKEN = re.compile(
    rb"/(f/[A-Za-z0-9._-]+|q)/[A-Za-z0-9_-]+|unsubscribe%20[A-Za-z0-9_-]+|X-Smtpapi-Id: [^\r\n]*"
)


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
