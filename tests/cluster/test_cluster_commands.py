"""`smtpapi cluster`, `smtpapi keys` in a cluster, the doctor's row: who has a key, who is silent."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.hosts_of_a_file import Place, cluster, settle
from doctor.reading import complete
from engagement.cluster import hosts
from engagement.cluster.program import keys_of
from engagement.links.keys import Ring
from engagement.links.ring_file import edit_ring, save_ring
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from smtpapi.commands import main
from smtpapi.commands.configuration import cluster_keys
from smtpapi.doctor.finding import Level
from smtpapi.doctor.host import cluster as cluster_check
from smtpapi.doctor.host.cluster import ClusterFacts


def say(place: Place, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(place.config)])


@pytest.fixture
def trio(tmp_path: Path) -> tuple[Place, Place, Place]:
    """Three hosts that live now."""
    found = cluster(tmp_path, "a", "b", "c")
    for place in found:
        place.now = time.time
        place.start()
    a, b, c = found
    settle(a, b, c)
    return a, b, c


def test_a_key_is_used_once_every_live_host_has_it(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    added = say(a, "keys", "add")
    (key_id,) = re.findall(r"key (\d+) opens links, soon on all hosts", added.output)
    settle(a, b)
    refused = say(a, "keys", "use", key_id)
    assert refused.exit_code == 2
    assert re.search(rf"key {key_id} must not sign yet: .* dead on c \(heard \d+ s ago\)", refused.output)
    assert a.keys().signing.id == 1
    settle(c)
    used = say(a, "keys", "use", key_id)
    assert (used.exit_code, a.keys().signing.id) == (0, int(key_id)), used.output
    settle(a, b, c)
    assert {place.keys().signing.id for place in trio} == {int(key_id)}


def test_force_uses_a_key_all_the_same(trio: tuple[Place, Place, Place]) -> None:
    a, _, _ = trio
    edit_ring(a.ring, lambda ring: ring.added(b"2" * 32, 5, 77))
    assert say(a, "keys", "use", "77").exit_code == 2
    assert say(a, "keys", "use", "77", "--force").exit_code == 0
    assert a.keys().signing.id == 77


def test_a_dead_host_is_not_waited_for_and_told(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    c.now = lambda: time.time() - 400
    c.start()
    settle(c)
    edit_ring(a.ring, lambda ring: ring.added(b"2" * 32, 5, 77))
    settle(a, b)
    used = say(a, "keys", "use", "77")
    assert used.exit_code == 0
    assert re.search(r"held for dead: c \(silent for 4\d\d s\)", used.output)
    assert "load balancer" in used.output


def test_a_store_that_cannot_be_asked_is_no_yes(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    edit_ring(a.ring, lambda ring: ring.added(b"2" * 32, 5, 77))
    settle(a, b, c)
    a.config.write_text(a.config.read_text().replace("registry.db", "registry.db/none"))
    refused = say(a, "keys", "use", "77")
    assert refused.exit_code == 2
    assert "nobody can tell whether the other hosts have it" in refused.output
    assert a.keys().signing.id == 1


def test_rotation_waits_for_the_other_hosts(
    trio: tuple[Place, Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = trio
    turns: list[float] = []

    def meanwhile(seconds: float) -> None:
        assert a.keys().signing.id == 1, "it waits"
        turns.append(seconds)
        settle(a, b, c, turns=1)

    original = cluster_keys.waiting_for
    monkeypatch.setattr(
        cluster_keys, "waiting_for", lambda *each, until: original(*each, until=until, sleep=meanwhile)
    )
    done = say(a, "keys", "rotate")
    assert done.exit_code == 0, done.output
    assert turns
    assert a.keys().signing.id != 1
    settle(a, b, c)
    assert a.keys() == b.keys() == c.keys()


def test_rotation_that_waits_in_vain_leaves_the_key_for_later(trio: tuple[Place, Place, Place]) -> None:
    a, _, _ = trio
    done = say(a, "keys", "rotate", "--wait", "0")
    assert done.exit_code == 2
    assert "b (heard" in done.output
    assert "c (heard" in done.output
    assert (a.keys().signing.id, len(a.keys().keys)) == (1, 2)


def test_status_tells_who_lives_and_who_differs(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    c.now = lambda: time.time() - 1000
    c.start()
    settle(c)
    edit_ring(a.ring, lambda ring: ring.added(b"2" * 32, 5, 77))
    settle(a)
    shown = say(a, "cluster", "status")
    lines = shown.output.splitlines()
    assert shown.exit_code == 0
    assert re.search(r"^a +\d+ s ago .*keys 1 77, 1 signs  here$", lines[0])
    assert re.search(r"^b +\d+ s ago .*keys 1, 1 signs  differs: ring$", lines[1])
    assert re.search(r"^c +dead, 100\d s ago", lines[2])
    hosts = [json.loads(line) for line in say(a, "cluster", "status", "--json").output.splitlines()]
    assert [(word["host"], word["dead"], word["here"]) for word in hosts] == [
        ("a", False, True), ("b", False, False), ("c", True, False)
    ]  # fmt: skip
    assert b"1" * 32 not in shown.output.encode()
    assert say(b, "cluster", "forget", "c").exit_code == 0
    assert say(b, "cluster", "forget", "c").exit_code == 1
    assert len(say(a, "cluster", "status").output.splitlines()) == 2


def test_two_hosts_of_one_name_are_told_and_no_key_is_used(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    c.config.write_text(c.config.read_text().replace("host = c", "host = b"))
    (c.cluster / "state.json").unlink()
    clock = [time.time()]
    for place in trio:
        place.now = lambda: clock[0]
        place.start()
    for _ in range(3):
        settle(a, b, c, turns=1)
        clock[0] += 11
    shown = say(a, "cluster", "status").output
    assert "name: another host is called b as well" in shown
    edit_ring(a.ring, lambda ring: ring.added(b"2" * 32, 5, 77))
    settle(a, b, c)
    refused = say(a, "keys", "use", "77")
    assert (refused.exit_code, "dead on b (heard" in refused.output) == (2, True)
    c.config.write_text(c.config.read_text().replace("host = b", "host = c"))
    c.start()
    for _ in range(2):
        clock[0] += 11
        settle(a, b, c, turns=1)
    assert say(a, "keys", "use", "77").exit_code == 0


def test_a_host_outside_any_cluster_is_told_so(tmp_path: Path) -> None:
    (a,) = cluster(tmp_path, "a")
    a.config.write_text(re.sub(r"smtpapi_cluster \{.*\}\n", "", a.config.read_text()))
    for arguments in (["cluster", "status"], ["cluster", "run"], ["cluster", "init"]):
        done = say(a, *arguments)
        assert (done.exit_code, "this host is in no cluster" in done.output) == (2, True)
    assert say(a, "keys", "rotate").exit_code == 0


def test_the_key_is_made_once(tmp_path: Path) -> None:
    (a,) = cluster(tmp_path, "a")
    (tmp_path / "cluster.key").unlink()
    assert "made. Copy it to each host of news" in say(a, "cluster", "init").output
    assert (tmp_path / "cluster.key").stat().st_mode & 0o777 == 0o640
    before = (tmp_path / "cluster.key").read_bytes()
    again = say(a, "cluster", "init")
    assert (again.exit_code, "there is a key already" in again.output) == (1, True)
    assert (tmp_path / "cluster.key").read_bytes() == before


def test_a_host_joins_by_taking_the_ring(tmp_path: Path) -> None:
    a, b = cluster(tmp_path, "a", "b")
    assert "no key ring in the cluster yet" in say(b, "cluster", "join").output
    settle(a)
    assert "has the keys 1; 1 signs" in say(b, "cluster", "join").output
    save_ring(b.ring, Ring().rotated(b"2" * 32, 5))
    old = b.ring.read_bytes()
    taken = say(b, "cluster", "join", "--take-ring")
    assert taken.exit_code == 0, taken.output
    assert (b.folder / "keys.before-cluster").read_bytes() == old
    assert b.keys() == a.keys()
    settle(b, a)
    assert b.program.exchange.troubles() == {}


# --- doctor


def test_doctor_finds_a_cluster_well(trio: tuple[Place, Place, Place]) -> None:
    a, _, _ = trio
    settings = load_file(a.config)
    facts = cluster_check.read(settings)
    assert [each.host for each in facts.reports] == ["a", "b", "c"]
    (finding,) = complete(cluster_check.check(replace(facts, shared=True), time.time()))
    assert finding.level is Level.OK
    (finding,) = complete(cluster_check.check(facts, time.time()))
    assert (finding.level, "in a file of this host" in finding.what) == (Level.ERROR, True)


def test_doctor_is_silent_without_a_cluster(tmp_path: Path) -> None:
    (a,) = cluster(tmp_path, "a")
    a.config.write_text(re.sub(r"smtpapi_cluster \{.*\}\n", "", a.config.read_text()))
    assert list(cluster_check.checked(load_file(a.config))) == []


def test_doctor_tells_of_silent_hosts_and_of_what_is_not_shared(trio: tuple[Place, Place, Place]) -> None:
    a, _, _ = trio
    facts = replace(cluster_check.read(load_file(a.config)), shared=True)
    own, other, third = facts.reports
    now = time.time()

    def found(*messages: hosts.HostReport, at: float = now) -> list[tuple[Level, str]]:
        checked = complete(cluster_check.check(replace(facts, reports=messages), at))
        return [(each.level, each.what) for each in checked]

    assert found(other, third) == [(Level.ERROR, "a was not heard yet")]
    levels = [level for level, _ in found(own, other, third, at=now + 100)]
    assert levels == [Level.ERROR, Level.WARNING, Level.WARNING]
    silent = replace(other, at_ms=int((now - 400) * 1000))
    assert "held for dead" in found(own, silent)[0][1]
    assert found(own, replace(other, trouble={"rules": "x.toml:1: no TOML"}))[0] == (
        Level.ERROR,
        "b does not share its rules: x.toml:1: no TOML",
    )
    assert found(own, replace(other, sorts={**other.sorts, "ring": "0"}))[0][0] is Level.NOTE


def test_doctor_tells_of_words_that_nobody_here_can_read(
    trio: tuple[Place, Place, Place], tmp_path: Path
) -> None:
    a, _, _ = trio
    registry = SqliteRegistry(tmp_path / "registry" / "registry.db")
    keys = keys_of(load_file(a.config))
    other = replace(keys, keys=(b"x" * 32,))
    hosts.say(registry, other, hosts.HostReport("d", 1))
    registry.close()
    (finding,) = complete(
        cluster_check.check(replace(cluster_check.read(load_file(a.config)), shared=True), time.time())
    )
    assert (finding.level, "sealed with a key" in finding.what) == (Level.ERROR, True)
    (tmp_path / "cluster.key").unlink()
    facts = cluster_check.read(load_file(a.config))
    assert "smtpapi cluster init" in facts.trouble
    assert list(cluster_check.check(ClusterFacts(""), 0.0)) == []
