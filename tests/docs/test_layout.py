"""The packaging names every package there is, and no name shadows pymilter's modules."""

import ast
import configparser
import re
import sys
from collections import Counter
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


# What a later issue uses, by the extra that it is in.
AWAITED: dict[str, set[str]] = {}
MODULES = {
    "pymilter": {"Milter", "milter"},
    "cassandra-driver": {"cassandra"},
    "dnspython": {"dns"},
    "flask": {"flask", "markupsafe", "werkzeug"},
    "flask-smorest": {"flask_smorest", "webargs"},
    "argon2-cffi": {"argon2"},
    "prometheus-client": {"prometheus_client"},
    "crawler-user-agents": {"crawleruseragents"},
    "ua-parser": {"ua_parser"},
    "dkimpy": {"dkim"},
}
OURS = {*ROOTS, "_typeshed"}  # the latter is there for mypy alone


def _requirements() -> dict[str, set[str]]:
    """Names of what is required, by extra; "" for the base."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lists = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {extra: {re.split("[>=<[]", line)[0] for line in text.split()} for extra, text in lists.items()}


def _imported() -> set[tuple[str, str]]:
    """(room, module) of every import of what is neither ours nor Python's."""
    found = set()
    for folder in ROOTS.values():
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names.append(node.module)
                found |= {(path.relative_to(ROOT).as_posix(), name.split(".")[0]) for name in names}
    return {(room, top) for room, top in found if top not in sys.stdlib_module_names and top not in OURS}


def test_what_is_required_is_imported_where_it_is_used_and_nothing_else() -> None:
    required = _requirements()
    assert required.pop("all") == {"smtpapi-engagement"}
    of_module: dict[str, set[str]] = {}  # one may be in several extras
    for extra, names in required.items():
        for module in (each for name in names for each in MODULES.get(name, {name})):
            of_module.setdefault(module, set()).add(extra)
    places = {
        "milter": ("milter/smtpapi/mta/", "milter/smtpapi/rewrite/", "milter/smtpapi/policy/lua/"),
        "tracker": ("tracker_web/", "engagement/events/agents.py", "engagement/access/users.py"),
        "doctor": ("milter/smtpapi/doctor/", "milter/smtpapi/commands/services/doctor.py"),
        "asn": ("engagement/classify/networks.py",),
        "cassandra": ("engagement/stores/cassandra/",),
        "metrics": ("engagement/metrics/exposition.py", "engagement/metrics/listener.py"),
        "webhooks": ("engagement/webhooks/sending/",),
        "": ("",),
    }
    imports = _imported()
    astray = [
        (room, module)
        for room, module in imports
        if not room.startswith(tuple(place for extra in of_module[module] for place in places[extra]))
    ]
    assert astray == []
    idle = set(of_module) - {module for _, module in imports}
    assert {name: of_module[name] for name in idle} == AWAITED


def test_no_two_files_of_tests_have_one_name() -> None:
    """Tests are found by name alone, so the second of two would not be collected."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
