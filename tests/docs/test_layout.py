"""The packaging names every package there is, and no name shadows pymilter's modules."""

import configparser
from pathlib import Path

import milter

ROOT = Path(__file__).parents[2]
ROOTS = {"smtpapi": "milter/smtpapi", "engagement": "engagement", "tracker_web": "tracker_web"}


def _packages() -> set[str]:
    found = set()
    for name, folder in ROOTS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((name, *inner)))
    return found


def test_setup_cfg_lists_every_package() -> None:
    """A forgotten one would simply be missing from the wheel."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert set(setup["options"]["packages"].split()) == _packages()


def test_milter_is_pymilters_c_module() -> None:
    """A package named milter on the path would hide it."""
    assert milter.__file__ is not None
    assert milter.__file__.endswith(".so")
    assert not (ROOT / "milter/__init__.py").exists()
    ours = [path for folder in ROOTS.values() for path in (ROOT / folder).rglob("mime.py")]
    assert not ours, "pymilter installs a module of that name"
