"""Checks of what people enter, each fault made once: the registry, the suppression list's copy, webhooks."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from doctor.reading import complete, only
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import Settings, load_text
from engagement.suppression import book
from engagement.suppression.follow import SnapshotWriter
from engagement.suppression.model import Entry, MailKind, Source
from engagement.webhooks.documents import SENDER, Documents
from engagement.webhooks.model import Endpoint, State, Webhook
from engagement.webhooks.schedule import CIRCUIT
from engagement.webhooks.service import WebhookService
from mta.mta_site import SMTPAPI, until
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host import registry, suppression, webhooks
from smtpapi.doctor.host.registry import User
from web.servers import stop

HOUR = 3600
WEB = User("web", "someone-web", 71_001, frozenset({71_000}))
SHIP = User("ship", "someone-ship", 71_002, frozenset({71_000}))
STRANGER = User("webhooks", "stranger", 71_003, frozenset({71_003}))


def _text(folder: Path, more: str = "") -> str:
    return (
        f'smtpapi {{ }}\nspool {{ directory = "{folder}/spool" }}\nstore {{ path = "{folder}/events.db" }}\n'
        f'registry {{ path = "{folder}/registry/registry.db" }}\n'
        f'suppression {{ snapshot = "{folder}/copy/suppressed.snapshot" }}\n{more}'
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "spool").mkdir()
    return load_text(_text(tmp_path))


@pytest.fixture
def people(tmp_path: Path) -> Iterator[SqliteRegistry]:
    """The registry as the first program makes it. It stays open, so SQLite's files lie beside it."""
    made = SqliteRegistry(tmp_path / "registry/registry.db")
    yield made
    made.close()


# --- registry ---


def _registry(settings: Settings, *users: User) -> list[Finding]:
    facts = registry.read(settings, {})
    return complete(registry.check(replace(facts, users=users)))


def test_no_registry_yet_and_looking_makes_none(settings: Settings) -> None:
    (finding,) = _registry(settings)
    assert (finding.level, "there is no registry" in finding.what) == (Level.NOTE, True)
    path = Path(settings.registry.path)
    path.parent.mkdir()
    path.touch(0o660)
    assert [each.level for each in _registry(settings)] == [Level.OK]
    assert path.stat().st_size == 0  # as tmpfiles.d makes it


def test_a_registry_that_all_may_write_to(settings: Settings, people: SqliteRegistry) -> None:
    path = Path(settings.registry.path)
    people.put("user", "ida", {})
    beside = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
    path.parent.chmod(0o2770)
    for each in beside:
        each.chmod(0o660)
    group = path.stat().st_gid
    ours = [replace(each, groups=frozenset({group})) for each in (WEB, SHIP)]
    (finding,) = _registry(settings, *ours)
    assert (finding.level, "someone-ship, someone-web may write" in finding.what) == (Level.OK, True)

    path.parent.chmod(0o770)
    (finding,) = only(_registry(settings, *ours))
    assert (finding.level, finding.change) == (Level.WARNING, f"chmod g+s {path.parent}")
    assert only(_registry(settings, ours[0])) == []  # one user for all: nothing is shared

    path.parent.chmod(0o2770)
    path.chmod(0o640)
    found = only(_registry(settings, *ours))
    assert [each.level for each in found] == [Level.ERROR, Level.ERROR]
    assert f"{path} (mode 0640" in found[0].what
    assert "-wal" not in found[0].what
    assert f"chmod 660 {path}" in found[0].change


def test_a_program_outside_the_group(settings: Settings, people: SqliteRegistry) -> None:
    path = Path(settings.registry.path)
    path.parent.chmod(0o2770)
    (finding,) = only(_registry(settings, STRANGER))
    assert "`smtpapi webhooks` as stranger may not write to" in finding.what
    assert str(path.parent) in finding.what
    assert finding.why == "No webhook gets an event."


def test_a_registry_that_everybody_may_read(settings: Settings, people: SqliteRegistry) -> None:
    Path(settings.registry.path).chmod(0o664)
    found = only(_registry(settings))
    assert any("everybody on this host" in each.what and "chmod o=" in each.change for each in found)


@pytest.mark.parametrize("newer", [False, True])
def test_a_registry_that_is_none_and_one_of_a_newer_program(settings: Settings, *, newer: bool) -> None:
    path = Path(settings.registry.path)
    path.parent.mkdir()
    if newer:
        made = SqliteRegistry(path)
        made._use(lambda connection: connection.execute("PRAGMA user_version = 9"))
        made.close()
    else:
        path.write_bytes(b"no database at all, and long enough to be seen as none" * 40)
        path.chmod(0o660)
    (finding,) = only(_registry(settings))
    assert (finding.level, "cannot be used" in finding.what) == (Level.ERROR, True)
    assert ("newer program" in finding.what) == newer


def test_a_registry_in_a_cluster_that_is_not_there() -> None:
    settings = load_text(
        "smtpapi { }\nstore { engine = cassandra }\n"
        'cassandra_client { uri = ("name=c;host=127.0.0.1;port=9") }'
    )
    (finding,) = _registry(settings, WEB)
    assert (finding.level, "smtpapi store check" in finding.change) == (Level.ERROR, True)


def test_users_of_the_packages_count_with_their_programs_and_alone() -> None:
    root = registry.users_of({"web": "root", "milter": "daemon"})
    assert [(each.role, each.name, each.uid) for each in root] == [("web", "root", 0)]
    assert registry.user_of("web", "no such user") is None
    assert registry.user_of("web", "71001") == User("web", "71001", 71_001, frozenset())


# --- the suppression list's copy ---


def _entry(name: str) -> Entry:
    return Entry(f"{name}@x.example", MailKind.NON_TRANSACTIONAL, Source.MANUALLY_ADDED)


def _settings(folder: Path) -> Settings:
    return load_text(_text(folder, "suppression_action = refuse\n"))


def _suppression(settings: Settings, user: User | None = None, later: float = 0.0) -> list[Finding]:
    return complete(suppression.check(suppression.read(settings, user, time.time() + later)))


def _copy(settings: Settings, people: SqliteRegistry) -> Path:
    path = Path(settings.suppression.snapshot)
    SnapshotWriter(lambda: people, path).step()
    return path


def test_a_list_that_no_scope_asks(tmp_path: Path, people: SqliteRegistry) -> None:
    text = "".join(line for line in _text(tmp_path).splitlines(keepends=True) if "snapshot" not in line)
    (tmp_path / "spool").mkdir()
    settings = load_text(text)
    assert [each.level for each in _suppression(settings)] == [Level.OK]
    book.add(people, _entry("ida"))
    (finding,) = _suppression(settings)
    assert (finding.level, finding.change) == (Level.NOTE, "suppression_action = refuse")


def test_no_copy_though_an_action_is_on(settings: Settings, tmp_path: Path, people: SqliteRegistry) -> None:
    (finding,) = _suppression(_settings(tmp_path))
    assert (finding.level, "no copy of the list" in finding.what) == (Level.ERROR, True)
    assert "no shipper runs" in finding.what


def test_a_copy_that_is_as_the_registry(settings: Settings, tmp_path: Path, people: SqliteRegistry) -> None:
    book.add(people, _entry("ida"))
    _copy(settings, people)
    (finding,) = _suppression(_settings(tmp_path), later=HOUR)
    assert (finding.level, "has 1 entries" in finding.what) == (Level.OK, True)


@pytest.mark.parametrize("fault", ["cut", "changed", "newer", "foreign", "empty"])
def test_a_damaged_copy(settings: Settings, tmp_path: Path, people: SqliteRegistry, fault: str) -> None:
    book.add(people, _entry("ida"))
    path = _copy(settings, people)
    data = path.read_bytes()
    path.write_bytes(
        {
            "cut": data[:-1],
            "changed": data[:-1] + b"\xff",
            "newer": data[:8] + b"\x02" + data[9:],
            "foreign": b"x" * 99,
            "empty": b"",
        }[fault]
    )
    (finding,) = only(_suppression(_settings(tmp_path)))
    assert (finding.level, "cannot be read" in finding.what) == (Level.ERROR, True)
    assert ("number 2" in finding.what) == (fault == "newer")


def test_a_copy_older_than_the_registry(settings: Settings, tmp_path: Path, people: SqliteRegistry) -> None:
    book.add(people, _entry("ida"))
    _copy(settings, people)
    book.add(people, _entry("ole"))
    assert only(_suppression(_settings(tmp_path), later=60)) == []  # a shipper has a moment
    (finding,) = only(_suppression(_settings(tmp_path), later=HOUR))
    assert "lacks 1 of its entries, the oldest for 60 min; no shipper runs" in finding.what
    assert finding.why == "People who have unsubscribed get mail."


def test_a_copy_with_entries_that_were_removed(
    settings: Settings, tmp_path: Path, people: SqliteRegistry
) -> None:
    book.add(people, _entry("ida"))
    _copy(settings, people)
    people.delete("suppression", _entry("ida").key)
    (finding,) = only(_suppression(_settings(tmp_path)))
    assert (finding.level, "has 1 that were removed" in finding.what) == (Level.WARNING, True)
    facts = suppression.read(_settings(tmp_path), None, time.time())
    assert only(suppression.check(replace(facts, shipping=True))) == []


def test_a_copy_that_the_filter_may_not_read(
    settings: Settings, tmp_path: Path, people: SqliteRegistry
) -> None:
    path = _copy(settings, people)
    path.parent.chmod(0o755)
    milter = User("milter", "someone-milter", 71_009, frozenset({71_009}))
    (finding,) = only(_suppression(_settings(tmp_path), milter))
    assert f"someone-milter may not read {path} (mode 0640" in finding.what
    path.chmod(0o644)
    assert only(_suppression(_settings(tmp_path), milter)) == []


def test_a_copy_whose_registry_cannot_be_read(
    settings: Settings, tmp_path: Path, people: SqliteRegistry
) -> None:
    _copy(settings, people)
    people.close()
    Path(settings.registry.path).write_bytes(b"no database at all" * 100)
    found = _suppression(_settings(tmp_path))
    assert [each.level for each in found] == [Level.SKIPPED]


# --- webhooks ---


def _hook(people: SqliteRegistry, ago: float = HOUR, **values: object) -> Webhook:
    made = Webhook(
        "w1", "shop", Endpoint("https://shop.example/"), created_ms=int((time.time() - ago) * 1000)
    )
    Documents(people).put_webhook(made, State(**values))  # type: ignore[arg-type] # a state's own fields
    return made


def _webhooks(settings: Settings, *, runs: bool = False, later: float = 0.0) -> list[Finding]:
    return complete(webhooks.check(webhooks.read(settings, runs=runs), time.time() + later))


def test_no_webhook(settings: Settings, people: SqliteRegistry) -> None:
    (finding,) = _webhooks(settings)
    assert (finding.level, finding.what) == (Level.OK, "there is no webhook")


def test_webhooks_that_nobody_sends_for(settings: Settings, people: SqliteRegistry) -> None:
    _hook(people, ago=2)
    assert only(_webhooks(settings)) == []  # one that was added just now
    (finding,) = only(_webhooks(settings, later=HOUR))
    assert "no program has ever sent; `smtpapi webhooks` does not run here" in finding.what
    assert finding.change == "systemctl enable --now smtpapi-webhooks"
    people.put(SENDER, "a-host", {"signs": 1})
    assert only(_webhooks(settings, later=50)) == []
    (finding,) = only(_webhooks(settings, runs=True, later=2 * HOUR))
    assert "the last sign of life is 120 min old; `smtpapi webhooks` runs here" in finding.what
    assert "restart" in finding.change


def test_a_webhook_that_a_person_paused_needs_no_sender(settings: Settings, people: SqliteRegistry) -> None:
    hook = _hook(people)
    WebhookService(Documents(people), None, lambda: "", ()).pause(hook.id)  # type: ignore[arg-type] # sends nothing
    (note, fine) = _webhooks(settings)
    assert (note.level, "is paused by a person" in note.what) == (Level.NOTE, True)
    assert (note.change, fine.level) == ("smtpapi webhook resume w1", Level.OK)


@pytest.mark.parametrize(
    ("failures", "ago", "level"),
    [(1, 60, Level.NOTE), (CIRCUIT, HOUR, Level.WARNING), (9, 7 * HOUR, Level.ERROR)],
    ids=["a try", "the circuit is open", "x_fault"],
)
def test_a_webhook_that_fails(
    settings: Settings, people: SqliteRegistry, failures: int, ago: int, level: Level
) -> None:
    since = int((time.time() - ago) * 1000)
    _hook(people, failures=failures, failing_since_ms=since, last_error="503 Service Unavailable")
    people.put(SENDER, "a-host", {"signs": 1})
    (finding,) = [each for each in _webhooks(settings) if each.level is not Level.OK]
    assert (finding.level, "503 Service Unavailable" in finding.what) == (level, True)
    assert ("x_fault" in finding.what) == (level is Level.ERROR)
    assert "failing since 20" in finding.what


def test_a_webhook_that_was_paused_for_failures(settings: Settings, people: SqliteRegistry) -> None:
    _hook(people, paused="its target answered 410")
    (finding,) = only(_webhooks(settings))
    assert (finding.level, "paused: its target answered 410" in finding.what) == (Level.ERROR, True)


def test_webhooks_whose_registry_cannot_be_read(settings: Settings, people: SqliteRegistry) -> None:
    people.close()
    Path(settings.registry.path).write_bytes(b"no database at all" * 100)
    assert [each.level for each in _webhooks(settings)] == [Level.SKIPPED]


# --- the command, beside the real programs ---


def _doctor(config: Path) -> dict[str, list[dict[str, str]]]:
    arguments = ["doctor", "--config", str(config), "--json", "--only", "registry,suppression,webhooks"]
    done = subprocess.run([SMTPAPI, *arguments], capture_output=True, text=True, check=False, timeout=60)
    found: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["check"], []).append(each)
    return found


def test_the_real_sender_and_shipper_make_all_well(
    settings: Settings, tmp_path: Path, people: SqliteRegistry
) -> None:
    config = tmp_path / "smtpapi.conf"
    config.write_text(_text(tmp_path, "suppression_action = refuse\nwebhooks { takeover = 2 }\n"))
    Path(settings.registry.path).chmod(0o660)
    book.add(people, _entry("ida"))
    _hook(people)
    before = _doctor(config)
    assert "no program has ever sent" in before["webhooks"][0]["what"]
    assert "no copy of the list" in before["suppression"][0]["what"]
    programs = [
        subprocess.Popen([SMTPAPI, role, "--config", str(config)], stderr=subprocess.DEVNULL)
        for role in ("ship", "webhooks")
    ]
    try:
        until(lambda: bool(people.find(SENDER)), 30, "the sender's sign of life")
        until(Path(settings.suppression.snapshot).exists, 30, "the copy")
        levels = {check: [each["level"] for each in found] for check, found in _doctor(config).items()}
        assert levels == {"registry": ["ok"], "suppression": ["ok"], "webhooks": ["ok"]}
    finally:
        for process in programs:
            stop(process)
