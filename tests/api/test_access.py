"""Keys of the API: made, shown once, listed, revoked; how they are sent, and what happens without."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.api_site import ApiSite, make_api_site
from engagement.access.keys import KIND, ApiKeys, NameTakenError
from engagement.access.scopes import EVERY, SCOPES
from engagement.registry.port import Data, Document
from engagement.registry.sqlite import SqliteRegistry
from smtpapi.commands import main
from tracker_web.api.access import offered

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path: Path) -> ApiSite:
    return make_api_site(tmp_path)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_793_001_722.0

    def __call__(self) -> float:
        return self.seconds


def test_key_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    keys = ApiKeys(SqliteRegistry(tmp_path / "registry.db"))
    key = keys.add("dashboard", ("metrics/view",))
    assert key.startswith("smtpapi_")
    assert len(key) > 48
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("registry.db*"))
    assert key.encode() not in stored
    assert key[:20].encode() not in stored
    (listed,) = keys.all()
    assert (listed.name, listed.scopes, listed.used_ms) == ("dashboard", ("metrics/view",), 0)
    assert key.startswith(listed.hint)
    assert len(listed.hint) < 16


def test_last_use_is_kept_to_the_minute_and_a_revoked_key_is_none_from_then_on(tmp_path: Path) -> None:
    clock = Clock()
    registry = SqliteRegistry(tmp_path / "registry.db")
    keys = ApiKeys(registry, clock)
    key = keys.add("dashboard", ("metrics/view",))
    assert keys.find(key) is not None
    begun = clock.seconds
    clock.seconds += 59
    assert keys.find(key) is not None
    assert [each.used_ms for each in keys.all()] == [int(begun * 1000)]
    clock.seconds += 2
    assert keys.find(key) is not None
    assert [each.used_ms for each in keys.all()] == [int(clock.seconds * 1000)]
    assert keys.revoke("dashboard")
    assert keys.find(key) is None
    assert not keys.revoke("dashboard")
    assert [bool(each.revoked_ms) for each in keys.all()] == [True]
    assert keys.add("dashboard", ("metrics/view",)) != key, "the name is free again"


def test_use_that_was_seen_before_does_not_undo_a_revocation(tmp_path: Path) -> None:
    """The write of the last use meets a newer version and leaves it."""
    registry = SqliteRegistry(tmp_path / "registry.db")
    keys = ApiKeys(registry)
    key = keys.add("dashboard", ("metrics/view",))

    class Late(SqliteRegistry):
        def put(self, kind: str, key: str, data: Data, *, expected: int | None = None) -> Document:
            ApiKeys(registry).revoke("dashboard")
            return super().put(kind, key, data, expected=expected)

    assert ApiKeys(Late(tmp_path / "registry.db")).find(key) is not None
    assert [bool(each.revoked_ms) for each in keys.all()] == [True]
    assert keys.find(key) is None


@pytest.mark.parametrize(
    ("name", "scopes"),
    [
        ("", ("metrics/view",)),
        ("n" * 101, ("metrics/view",)),
        ("a\nb", ("metrics/view",)),
        ("a", ()),
        ("a", ("x",)),
    ],
)
def test_keys_that_cannot_be(tmp_path: Path, name: str, scopes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"key|scope"):
        ApiKeys(SqliteRegistry(tmp_path / "registry.db")).add(name, scopes)


def test_names_are_in_use_once(tmp_path: Path) -> None:
    keys = ApiKeys(SqliteRegistry(tmp_path / "registry.db"))
    keys.add("a", ("all",))
    with pytest.raises(NameTakenError, match="revoke"):
        keys.add("a", ("all",))
    assert [key.scopes for key in keys.all()] == [EVERY]


def test_what_is_no_key_is_not_looked_for(tmp_path: Path) -> None:
    keys = ApiKeys(SqliteRegistry(tmp_path / "registry.db"))
    assert [keys.find(text) for text in ("", "x" * 201, "ключ", "\udcff")] == [None] * 4


def test_command_adds_lists_and_revokes(site: ApiSite) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        done = CliRunner().invoke(main, ["apikey", *arguments, "--config", str(site.site.config)])
        assert done.exit_code == status, done.output
        return done.output

    key = run(
        "add", "dashboard", "--scope", "events/view", "--scope", "metrics/view", "--tenant", "north"
    ).strip()
    assert site.get("/openapi.json", key).status_code == 200
    listed = run("list")
    assert listed.startswith(f"dashboard  {key[:12]}…  tenant north  never used  events/view metrics/view")
    assert key not in listed
    assert "revoke it first" in run("add", "dashboard", "--scope", "all", status=1)
    assert "is no scope" in run("add", "other", "--scope", "nonsense", status=2)
    assert run("revoke", "dashboard") == "revoked: dashboard\n"
    assert "revoked 20" in run("list")
    assert "apikey list" in run("revoke", "dashboard", status=1)
    with sqlite3.connect(site.settings.registry.path) as connection:
        assert connection.execute("SELECT count(*) FROM document WHERE kind = ?", (KIND,)).fetchone() == (1,)


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("KEY", "KEY"),
        ("  KEY ", "KEY"),
        ("Bearer KEY", "KEY"),
        ("bearer  KEY", "KEY"),
        ("Basic " + base64.b64encode(b"KEY:").decode(), "KEY"),
        ("basic " + base64.b64encode(b"KEY:word").decode(), "KEY"),
        ("Basic ?", "?"),
        ("", ""),
    ],
)
def test_key_in_its_three_forms(field: str, key: str) -> None:
    assert offered(field) == key


def test_page_names_every_scope() -> None:
    page = (ROOT / "docs/api.md").read_text("utf-8")
    for scope, what in SCOPES.items():
        assert f"| `{scope}` | {what} |" in page
