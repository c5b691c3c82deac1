"""`make packages` as docs/install.md shows it: it makes what the page lists, twice with the same bytes."""

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packages.machines import ROOT
from shell_blocks import script

DIST = ROOT / "dist"


def make(before: str = "", **variables: str) -> tuple[dict[str, str], str]:
    """Make them; return each file with its digest, and what was printed.

    before: commands that change what the shell does by habit. variables: of the environment.
    """
    began = time.monotonic()
    done = subprocess.run(
        ["sh", "-c", before + script("docs/install.md", "make packages")],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"made in {time.monotonic() - began:.0f} s")
    files = [path for path in sorted(DIST.rglob("*")) if path.is_file()]
    digests = {str(each.relative_to(DIST)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}
    return digests, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_all_targets_are_made_twice_with_the_same_bytes(tmp_path: Path) -> None:
    """The second time by somebody with other habits: another time zone, language, mask and temporary folder.

    Wheels of others are fetched once, and are then checked by the same hashes.
    """
    made, output = make()
    page = (ROOT / "docs/install.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w*/.+-]*VERSION[\w.+-]*|wheels/\*\.whl)` \|", page, re.MULTILINE)
    assert len(rows) == 8
    for row in rows:
        pattern = re.compile(re.escape(row).replace("VERSION", r"[\w.]+").replace(r"\*", r"[^/]+"))
        assert any(map(pattern.fullmatch, made)) or "left out" in output, f"{row}\n{output}"
    for package in DIST.glob("*.deb"):
        looked = subprocess.run(
            ["lintian", "--allow-root", package], capture_output=True, text=True, check=False, timeout=600
        )
        print(package.name, "lintian:", looked.returncode, looked.stdout.strip() or "nothing to say")
        assert looked.returncode == 0, looked.stdout
    for wheel in DIST.glob("wheels/smtpapi_engagement-*.whl"):
        shown = subprocess.run(
            [sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True, check=True
        ).stdout
        print(wheel.name, "auditwheel:", " ".join(shown.split()))
        assert "manylinux" in shown
    again, _ = make("umask 077\n", TZ="Pacific/Auckland", LC_ALL="C", TMPDIR=str(tmp_path))
    assert {name for name in made if again.get(name) != made[name]} == set()
    assert again.keys() == made.keys()
