"""What `make packages` made, for tests to look at."""

import sys
from dataclasses import dataclass
from pathlib import Path

from packages.machines import ROOT

MAKE = [sys.executable, str(ROOT / "packaging/make_packages.py"), "debian12"]


@dataclass(frozen=True, slots=True)
class Made:
    """What `make packages` made for Debian 12. later: the same as version 0.1.1, to upgrade to."""

    folder: Path
    package: Path
    later: Path
