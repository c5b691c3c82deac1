"""No check is silenced without a reason, and no test hangs on a name that a rename would miss."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("milter", "engagement", "tracker_web", "typings", "demo", "private_mta", "tests", "bench", "etc")
_SILENCED = re.compile(r"#\s*(?:type:\s*ignore|noqa|pragma|nosec)\b")
_WITH_A_REASON = re.compile(
    r"# (?:type: ignore\[[\w-]+(?:,\s*[\w-]+)*\] # \S.*|noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)* - \S.*)"
)


def files(*folders: str) -> list[Path]:
    found = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py*")
        if path.suffix in (".py", ".pyi")
    ]
    return sorted(path for path in found if "corpus" not in path.parts)


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_reason(text: str) -> Iterator[int]:
    """Numbers of the lines whose comment silences a check and does not say why."""
    if not _SILENCED.search(text):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        silences = token.type == tokenize.COMMENT and _SILENCED.search(token.string)
        if silences and not _WITH_A_REASON.fullmatch(token.string):
            yield token.start[0]


@pytest.mark.parametrize(
    ("comment", "fine"),
    [
        ("# noqa: S608 - a number of ours", True),
        ("# noqa: BLE001, S110 - said elsewhere", True),
        ("# noqa: S608", False),
        ("# noqa", False),
        ("# type: ignore[arg-type] # a wrong value on purpose", True),
        ("# type: ignore[arg-type,misc] # a wrong value on purpose", True),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore", False),
        ("# what follows is no type at all", True),
    ],
)
def test_a_reason_is_what_stands_behind_the_code(comment: str, fine: bool) -> None:
    assert list(without_reason(f"x = 1\ny = 2  {comment}\n")) == ([] if fine else [2])


def test_each_silenced_check_has_its_reason() -> None:
    found = [
        f"{names(path)}:{line}"
        for path in files(*FOLDERS)
        for line in without_reason(path.read_text("utf-8"))
    ]
    assert found == []


def by_path(text: str) -> Iterator[int]:
    """Lines that replace something named by a dotted path in a string, which no rename finds."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        is_text = isinstance(first, ast.JoinedStr) or (
            isinstance(first, ast.Constant) and isinstance(first.value, str)
        )
        if called in ("setattr", "delattr", "patch") and is_text:
            yield node.lineno


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ('monkeypatch.setattr("os.chown", x)', True),
        ('monkeypatch.setattr(f"smtpapi.{x}", x)', True),
        ('monkeypatch.delattr("os.chown")', True),
        ('mock.patch("os.chown")', True),
        ('patch("os.chown")', True),
        ('monkeypatch.setattr(os, "chown", x)', False),
        ('monkeypatch.setitem(sys.modules, "os.path", None)', False),
    ],
)
def test_a_replacement_by_path_is_seen(call: str, found: bool) -> None:
    assert bool(list(by_path(call))) is found


def test_no_test_replaces_by_path() -> None:
    found = [
        f"{names(path)}:{line}"
        for path in files("tests", "bench")
        for line in by_path(path.read_text("utf-8"))
    ]
    assert found == []


def imported(path: Path) -> set[str]:
    """Every module that a file imports, and every name it takes from one, dotted."""
    imported_names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported_names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported_names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return imported_names


def test_tests_share_helpers_and_not_each_other_nor_the_demonstration() -> None:
    """The demonstration's own test is about it; all others have `private_mta` and helper modules."""
    found = {
        (names(path), name)
        for path in files("tests", "bench")
        for name in imported(path)
        if any(part.startswith("test_") or part == "conftest" for part in name.split("."))
        or (name.split(".")[0] == "demo" and path.name != "test_demo_place.py")
    }
    assert found == set()


def test_no_two_benchmarks_import_each_other() -> None:
    arrows = {
        (path.stem, name.split(".")[1])
        for path in files("bench")
        for name in imported(path)
        if name.startswith("bench.")
    }
    assert [(one, other) for one, other in arrows if (other, one) in arrows] == []
