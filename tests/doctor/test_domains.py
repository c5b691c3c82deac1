"""The check of entered tracking domains, each fault made once. Their names: test_readme_make_run.py."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from doctor.reading import complete, only
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import Settings, load_text
from engagement.tracking_domains.documents import TrackingDomains
from engagement.tracking_domains.follow import CopyWriter
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.host import domains
from smtpapi.doctor.host.registry import User
from smtpapi.doctor.site import LinkHost, Site

STRANGER = User("tracker", "stranger", 71_003, frozenset({71_003}))
NAME = "news.shop.example"


def settings_of(folder: Path, *, enabled: bool = True) -> Settings:
    return load_text(
        f'smtpapi {{ }}\nspool {{ directory = "{folder}" }}\nregistry {{ path = "{folder}/registry.db" }}\n'
        f'entered_domains {{ enabled = {"true" if enabled else "false"} snapshot = "{folder}/copy.json" }}\n'
    )


@pytest.fixture
def people(tmp_path: Path) -> Iterator[SqliteRegistry]:
    with closing(SqliteRegistry(tmp_path / "registry.db")) as made:
        yield made


def enter(people: SqliteRegistry, name: str, *, default: bool = True) -> None:
    domains = TrackingDomains(people, "")
    domains.change(domains.checked(domains.add(name, secure=True), "valid", verified=True), default=default)


def copy(folder: Path) -> Path:
    with closing(SqliteRegistry(folder / "registry.db")) as own:
        CopyWriter(lambda: own, folder / "copy.json").step()
    return folder / "copy.json"


def found(settings: Settings, *readers: User) -> list[Finding]:
    return complete(domains.check(domains.read(settings, readers, time.time())))


def test_off_and_nothing_entered_and_entered_in_vain(tmp_path: Path, people: SqliteRegistry) -> None:
    settings = settings_of(tmp_path, enabled=False)
    assert [each.level for each in found(settings)] == [Level.OK]
    enter(people, NAME)
    (finding,) = found(settings)
    assert (finding.level, finding.change) == (Level.NOTE, "entered_domains { enabled = true }")


def test_a_copy_that_is_as_the_registry(tmp_path: Path, people: SqliteRegistry) -> None:
    enter(people, NAME)
    copy(tmp_path)
    (finding,) = found(settings_of(tmp_path))
    assert (finding.level, "has 1 domains" in finding.what) == (Level.OK, True)


def test_no_copy(tmp_path: Path, people: SqliteRegistry) -> None:
    (finding,) = only(found(settings_of(tmp_path)))
    assert finding.level is Level.WARNING
    enter(people, NAME)
    (finding,) = only(found(settings_of(tmp_path)))
    assert (finding.level, "there is no copy" in finding.what) == (Level.ERROR, True)
    assert "no shipper runs" in finding.what


@pytest.mark.parametrize("data", [b"", b"{", b'{"version": 9, "domains": []}'])
def test_a_damaged_copy(tmp_path: Path, people: SqliteRegistry, data: bytes) -> None:
    enter(people, NAME)
    copy(tmp_path).write_bytes(data)
    (finding,) = only(found(settings_of(tmp_path)))
    assert (finding.level, "cannot be read" in finding.what) == (Level.ERROR, True)


def test_a_copy_that_a_program_may_not_read(tmp_path: Path, people: SqliteRegistry) -> None:
    enter(people, NAME)
    tmp_path.chmod(0o711)
    copy(tmp_path).chmod(0o600)
    (finding,) = only(found(settings_of(tmp_path), STRANGER))
    assert "stranger may not read" in finding.what


def test_a_copy_older_than_the_registry(tmp_path: Path, people: SqliteRegistry) -> None:
    settings = settings_of(tmp_path)
    enter(people, NAME)
    copy(tmp_path)
    enter(people, "two.shop.example", default=False)
    (finding,) = only(found(settings))
    assert "it lacks two.shop.example; no shipper runs" in finding.what
    copy(tmp_path)
    TrackingDomains(people, "").remove("two.shop.example")
    (finding,) = only(found(settings))
    assert "it has two.shop.example still" in finding.what
    copy(tmp_path)
    domains = TrackingDomains(people, "")
    domain = domains.get(NAME)
    assert domain is not None
    domains.change(domain, default=False)
    (finding,) = only(found(settings))
    assert "it has other defaults" in finding.what


def test_a_shipper_that_runs_has_a_moment(tmp_path: Path, people: SqliteRegistry) -> None:
    enter(people, NAME)
    copy(tmp_path)
    enter(people, "two.shop.example", default=False)
    facts = domains.read(settings_of(tmp_path), (), time.time())
    read = domains.decoded((tmp_path / "copy.json").read_bytes())
    runs = replace(facts, shipping=True)
    assert domains.late(runs, read, 5) == ""
    assert domains.late(runs, read, 90) == "it lacks two.shop.example"


def test_one_that_is_not_verified_and_none_that_is_a_default(tmp_path: Path, people: SqliteRegistry) -> None:
    TrackingDomains(people, "").add("new.shop.example", secure=False)
    copy(tmp_path)
    what = " ".join(each.what for each in found(settings_of(tmp_path)) if each.level is Level.NOTE)
    assert "new.shop.example is entered and not verified (unverified)" in what
    enter(people, NAME, default=False)
    copy(tmp_path)
    what = " ".join(each.what for each in found(settings_of(tmp_path)) if each.level is Level.NOTE)
    assert f"{NAME}: verified, and none is a default" in what


def test_a_registry_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"no database" * 200)
    (tmp_path / "copy.json").write_text(json.dumps({"version": 1, "domains": []}))
    (finding,) = found(settings_of(tmp_path))
    assert finding.level is Level.SKIPPED


def test_where_the_registry_is_a_cluster_hosts_come_from_the_copy(
    tmp_path: Path, people: SqliteRegistry
) -> None:
    enter(people, NAME)
    copy(tmp_path)
    settings = load_text(
        f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}" }}\nstore {{ engine = cassandra }}\n'
        'cassandra_client { uri = ("name=c;host=127.0.0.1;port=9") }\n'
        f'entered_domains {{ enabled = true snapshot = "{tmp_path}/copy.json" }}\n'
    )
    assert list(Site(Path("x"), settings, None, None).link_hosts()) == [LinkHost(NAME, https=True)]
