"""What one host changes in its files is in those of the others after two turns each."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.hosts_of_a_file import Place, cluster, settle
from engagement import objections
from engagement.cluster.state import NAME, StateError
from engagement.links import domains_file, stops
from engagement.links.keys import Key, KeyStatus, Ring
from engagement.links.ring_file import edit_ring, load_ring, save_ring
from engagement.registry.sqlite import SqliteRegistry
from tracker_web.links.hosts import ClusterHosts


@pytest.fixture
def trio(tmp_path: Path) -> tuple[Place, Place, Place]:
    a, b, c = cluster(tmp_path, "a", "b", "c")
    settle(a, b, c)
    return a, b, c


def stop(place: Place, **campaigns: str) -> None:
    stops.edit(place.stopped, lambda old: replace(old, campaigns={**old.campaigns, **campaigns}))


def allow(place: Place, name: str) -> None:
    left = {each: who for each, who in stops.load(place.stopped).campaigns.items() if each != name}
    stops.edit(place.stopped, lambda old: replace(old, campaigns=left))


def test_the_first_ring_is_everybodys(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    assert a.keys() == b.keys() == c.keys()
    assert b.ring.stat().st_mode & 0o777 == (0o640 if os.geteuid() == 0 else 0o600)


def test_keys_added_on_two_hosts_at_once_are_all_there(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    edit_ring(a.ring, lambda ring: ring.added(b"a" * 32, 2, 70))
    edit_ring(b.ring, lambda ring: ring.added(b"b" * 32, 3, 80))
    settle(a, b, c, turns=2)
    assert [key.id for key in c.keys().keys] == [1, 70, 80]
    assert a.keys() == b.keys() == c.keys()
    assert c.keys().signing.id == 1
    edit_ring(c.ring, lambda ring: ring.used(80).revoked(1))
    settle(c, a, b, turns=1)
    assert a.keys() == b.keys() == c.keys()
    assert (a.keys().signing.id, a.keys().get(1)) == (80, None)


def test_a_line_that_a_ring_lost_is_put_back(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    edit_ring(a.ring, lambda ring: ring.added(b"a" * 32, 2, 70))
    settle(a, b, c)
    whole = b.keys()
    save_ring(b.ring, Ring(whole.keys[:1]))
    settle(a, b, c)
    assert a.keys() == b.keys() == c.keys() == whole
    b.ring.unlink()
    settle(a, b, c)
    assert a.keys() == b.keys() == whole


def test_the_signing_key_of_one_is_revoked_by_another_at_once(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    edit_ring(a.ring, lambda ring: ring.added(b"a" * 32, 2, 70))
    settle(a, b, c)
    edit_ring(a.ring, lambda ring: ring.used(70))
    edit_ring(b.ring, lambda ring: ring.revoked(70))
    settle(a, b, c)
    assert a.keys() == b.keys() == c.keys()
    assert (a.keys().signing.id, a.keys().get(70)) == (1, None)


def test_two_secrets_under_one_id_are_told_and_nothing_is_lost(tmp_path: Path) -> None:
    a, b = cluster(tmp_path, "a", "b")
    save_ring(b.ring, Ring().rotated(b"2" * 32, 5))
    before = b.keys()
    settle(a, b)
    assert (a.keys() == before, b.keys() == before) == (False, True)
    trouble = b.program.exchange.troubles()["ring"]
    assert "key 1 here has another secret" in trouble
    assert "cluster join --take-ring" in trouble
    assert a.program.exchange.troubles() == {}
    stop(a, spring="Shop")  # what can be shared is
    settle(a, b)
    assert stops.load(b.stopped).campaigns == {"spring": "Shop"}
    edit_ring(b.ring, lambda _: a.keys())
    settle(a, b)
    assert b.program.exchange.troubles() == {}
    assert a.keys() == b.keys()


def test_stopped_links_come_and_go(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="Shop", autumn="")
    stop(b, winter="B")
    settle(a, b, c, turns=2)
    assert all(
        stops.load(h.stopped).campaigns == {"spring": "Shop", "autumn": "", "winter": "B"} for h in trio
    )
    allow(c, "spring")
    settle(c, a, b, turns=1)
    assert all("spring" not in stops.load(h.stopped).campaigns for h in trio)
    c.stopped.unlink()  # lost, which is not the same as all allowed: its copy counts
    settle(a, b, c)
    assert all(len(stops.load(h.stopped).campaigns) == 2 for h in trio)
    for path in (c.stopped, stops.copy_of(c.stopped)):
        path.unlink(missing_ok=True)
    settle(a, b, c)
    assert all(len(stops.load(h.stopped).campaigns) == 2 for h in trio)


def test_a_broken_list_is_told_and_overwrites_nothing(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="")
    settle(a, b, c)
    b.stopped.write_text("{")
    stop(a, autumn="")
    settle(a, b, c)
    assert str(b.stopped) in b.program.exchange.troubles()["stops"]
    assert b.stopped.read_text() == "{"
    assert set(stops.load(c.stopped).campaigns) == {"spring", "autumn"}
    stops._save(b.stopped, stops.load(stops.copy_of(b.stopped)))
    settle(a, b, c)
    assert set(stops.load(b.stopped).campaigns) == {"spring", "autumn"}
    assert b.program.exchange.troubles() == {}


def test_objections_keep_their_comments(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    a.objections.write_text("# by letter\nIda@example.net\n@example.org # all of it")
    b.objections.write_text("# ours\nole@example.net\n")
    settle(a, b, c, turns=2)
    assert len({objections.load(h.objections).addresses for h in trio}) == 1
    assert a.objections.read_text() == (
        "# by letter\nIda@example.net\n@example.org # all of it\nole@example.net\n"
    )
    b.objections.write_text(b.objections.read_text().replace("ida@example.net\n", ""))
    settle(b, a, c, turns=1)
    assert a.objections.read_text() == "# by letter\n@example.org # all of it\nole@example.net\n"
    assert objections.load(c.objections).domains == {"example.org"}


def test_a_list_that_a_group_may_write_is_replaced_by_any_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packages: the shipper's file, and the cluster's program takes a line out."""

    def denied(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "list"
    path.write_text("ida@example.net\n@example.org\n")
    monkeypatch.setattr(os, "fchown", denied)
    if os.geteuid() == 0:
        os.chown(path, 4711, -1)
        path.chmod(0o640)
        with pytest.raises(objections.ObjectionsError, match="Operation not permitted"):
            objections.remove(path, {"@example.org"})
    path.chmod(0o664)
    objections.remove(path, {"@example.org"})
    assert path.read_text() == "ida@example.net\n"
    assert path.stat().st_mode & 0o777 == 0o664


def test_rules_are_shared_once_they_can_be_read(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    (a.rules / "50-ours.toml").write_text("version = 7\n")
    (a.rules / "networks.txt").write_text("192.0.2.0/24\n")
    (a.rules / ".hidden").write_text("x")
    settle(a, b, c, turns=2)
    assert sorted(path.name for path in c.rules.iterdir()) == ["50-ours.toml", "networks.txt"]
    assert (c.rules / "networks.txt").read_text() == "192.0.2.0/24\n"
    (b.rules / "50-ours.toml").write_text("version = seven\n")
    settle(a, b, c)
    assert "50-ours.toml:1: no TOML" in b.program.exchange.troubles()["rules"]
    assert (a.rules / "50-ours.toml").read_text() == "version = 7\n"
    (b.rules / "50-ours.toml").write_text("version = 8\n")
    (b.rules / "networks.txt").unlink()
    settle(b, a, c, turns=1)
    assert [path.read_text() for path in a.rules.glob("*.t*t")] == []
    assert (a.rules / "50-ours.toml").read_text() == "version = 8\n"


def test_each_host_knows_the_hosts_of_links_of_all(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    reports: list[str] = []
    domains_file.DomainsFile(a.spool, reports.append, lambda: 1_800_000_000.0).used(
        "policy.example.net", 86_400
    )
    settle(a, b, c, turns=2)
    names = {each.domain for each in domains_file.read(c.cluster)}
    assert names == {"a.example.com", "b.example.com", "c.example.com", "policy.example.net"}
    assert reports == []
    answered = ClusterHosts(frozenset({"c.example.com"}), c.cluster, lambda: 0.0)
    assert "c.example.com" in answered
    assert "unknown.example" not in answered


def test_the_tracker_answers_what_another_host_has_put_into_links(tmp_path: Path) -> None:
    now = [0.0]
    hosts = ClusterHosts(frozenset(), tmp_path, lambda: now[0])
    assert "b.example.com" not in hosts
    domains_file.write(tmp_path, [domains_file.DomainUse("B.example.com:8443", 1, 9_999_999_999)])
    assert "b.example.com" not in hosts
    now[0] = 1.5
    assert "b.example.com" in hosts
    (tmp_path / domains_file.NAME).write_text("{")
    now[0] = 3.0
    assert "b.example.com" in hosts


def test_a_host_whose_store_is_away_goes_on_and_loses_nothing(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="before")
    settle(a, b, c)
    c.away = True
    stop(c, mine="C")
    c.now = lambda: 1_800_000_010.0
    settle(c)
    allow(c, "spring")
    edit_ring(c.ring, lambda ring: ring.added(b"c" * 32, 9, 90))
    settle(c)
    c.start()  # and is started anew meanwhile
    settle(c)
    a.now = b.now = lambda: 1_800_000_020.0
    stop(a, spring="later", other="A")
    settle(a, b)
    c.now = lambda: 1_800_000_030.0
    assert c.program.exchange.away
    assert stops.load(c.stopped).campaigns == {"mine": "C"}
    c.away = False
    settle(c, a, b, turns=2)
    assert not c.program.exchange.away
    expected = {"mine": "C", "spring": "later", "other": "A"}
    assert all(stops.load(h.stopped).campaigns == expected for h in trio)
    assert a.keys() == b.keys() == c.keys()
    assert a.keys().get(90) is not None


def test_a_change_while_the_program_did_not_run(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="", autumn="")
    settle(a, b, c)
    allow(b, "spring")
    stop(b, winter="")
    b.start()
    settle(b, a, c, turns=1)
    assert all(set(stops.load(h.stopped).campaigns) == {"autumn", "winter"} for h in trio)


def test_a_store_that_was_emptied_is_filled_again(trio: tuple[Place, Place, Place], tmp_path: Path) -> None:
    a, b, c = trio
    stop(a, spring="", autumn="")
    settle(a, b, c)
    allow(a, "autumn")
    settle(a, b, c)
    registry = SqliteRegistry(tmp_path / "registry" / "registry.db")
    for document in registry.find("cluster"):
        registry.delete("cluster", document.key)
    b.start()
    settle(b, c, a)
    assert len(registry.find("cluster")) >= 3
    assert all(stops.load(h.stopped).campaigns == {"spring": ""} for h in trio)
    registry.close()


def test_an_old_document_that_is_put_back_has_no_effect(
    trio: tuple[Place, Place, Place], tmp_path: Path
) -> None:
    """By a backup, or by somebody who may write to the store and has no key."""
    a, b, c = trio
    stop(a, spring="")
    settle(a, b, c)
    registry = SqliteRegistry(tmp_path / "registry" / "registry.db")
    old = registry.find("cluster")
    edit_ring(a.ring, lambda ring: ring.added(b"a" * 32, 2, 70).used(70).revoked(1))
    allow(a, "spring")
    settle(a, b, c)
    for document in old:
        registry.put("cluster", document.key, document.data)
    settle(a, b, c)
    assert all(h.keys().get(1) is None and h.keys().signing.id == 70 for h in trio)
    assert all(stops.load(h.stopped).campaigns == {} for h in trio)
    registry.close()


def test_a_host_with_another_key_shares_nothing_and_harms_nothing(tmp_path: Path) -> None:
    a, b = cluster(tmp_path, "a", "b")
    settle(a)
    (tmp_path / "other.key").write_text("22" * 32)
    (tmp_path / "other.key").chmod(0o600)
    b.config.write_text(b.config.read_text().replace("cluster.key", "other.key"))
    save_ring(b.ring, Ring().rotated(b"2" * 32, 5))
    b.start()
    stop(b, mine="")
    settle(b, a)
    assert "sealed with a key that is not in the key file" in b.program.exchange.troubles()["ring"]
    assert a.keys() != b.keys()
    a.start()
    settle(a)
    assert a.program.exchange.troubles() == {}


def test_what_a_later_program_shares_is_carried_and_not_written(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="")
    settle(a, b, c)
    copy = next(each.copy for each in a.program.exchange._sorts if each.shared.name == "stops")
    assert copy is not None
    stamp = copy.known["campaigns/spring"].stamp._replace(at_ms=1_800_000_000_500)
    known = copy.known
    assert isinstance(known, dict)
    known["bindings/west"] = known["campaigns/spring"]._replace(stamp=stamp)
    stop(a, autumn="")
    settle(a, b, c)
    stop(b, winter="")
    b.start()
    settle(b, c, a)
    there = [
        each.copy.known for each in c.program.exchange._sorts if each.shared.name == "stops" and each.copy
    ]
    assert there[0]["bindings/west"].value == ""
    assert set(stops.load(c.stopped).campaigns) == {"spring", "autumn", "winter"}


def test_a_state_of_a_later_program_is_refused(trio: tuple[Place, Place, Place]) -> None:
    a, _, _ = trio
    path = a.cluster / NAME
    content = json.loads(path.read_text())
    assert "31" * 32 not in path.read_text(), "no secret of the ring"
    path.write_text(json.dumps(content | {"version": 2}))
    with pytest.raises(StateError, match="Use the newer program"):
        a.start()


def test_a_state_that_is_lost_costs_no_entry(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="")
    settle(a, b, c)
    (b.cluster / NAME).unlink()
    allow(a, "spring")
    settle(a)
    b.start()
    settle(b, a, c)
    assert all(stops.load(h.stopped).campaigns == {} for h in trio)
    assert a.keys() == b.keys()


def test_a_ring_of_the_clusters_user_may_have_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engagement.links import ring_file

    class _Entry:
        pw_name = ring_file.CLUSTER_USER

    assert ring_file.may_be_shared(0)
    assert ring_file.may_be_shared(65534) == (os.geteuid() != 0)  # whoever it is outside a unit's users
    monkeypatch.setattr(ring_file.pwd, "getpwuid", lambda _: _Entry)
    assert ring_file.may_be_shared(4711)
    path = tmp_path / "keys"
    key = Key(1, KeyStatus.SIGNING, 1, b"1" * 32)
    save_ring(path, Ring((key,)), new=True)
    if os.geteuid() == 0:
        os.chown(path, 4711, 4711)
    path.chmod(0o640)
    assert load_ring(path).signing == key
    edit_ring(path, lambda ring: ring.added(b"2" * 32, 2))
    assert path.stat().st_mode & 0o777 == 0o640


DAY = 86_400.0
START = 1_800_000_000.0


def at(days: float, *places: Place) -> None:
    """Let clocks be so many days after the start."""
    for place in places:
        place.now = lambda: START + days * DAY


def is_known(place: Place, name: str = "campaigns/spring") -> tuple[bool, bool, bool]:
    """Whether a host, the registry as it read it, and the host's file of what it remembers have an entry."""
    exchange = place.program.exchange
    (sort,) = (each for each in exchange._sorts if each.shared.name == "stops")
    documents = exchange._documents
    assert documents is not None
    assert sort.copy is not None
    remembered = json.loads((place.cluster / NAME).read_text())["sorts"]["stops"]
    return name in sort.copy.known, name in documents.of("stops"), name in remembered


def test_what_was_deleted_is_forgotten_once_every_host_knows_and_some_weeks_are_over(
    trio: tuple[Place, Place, Place],
) -> None:
    a, b, c = trio
    stop(a, spring="", autumn="")
    settle(*trio)
    allow(b, "spring")
    settle(*trio)
    at(27.9, *trio)
    settle(*trio)
    assert {is_known(place) for place in trio} == {(True, True, True)}
    at(28.1, *trio)
    settle(*trio)
    assert {is_known(place) for place in trio} == {(False, False, False)}
    assert {is_known(place, "campaigns/autumn") for place in trio} == {(True, True, True)}
    stop(c, spring="anew")
    settle(*trio)
    assert all(stops.load(h.stopped).campaigns == {"spring": "anew", "autumn": ""} for h in trio)


def test_a_host_that_prunes_later_does_not_put_it_back(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="")
    settle(*trio)
    allow(a, "spring")
    settle(*trio)
    at(28.1, *trio)
    c.program.exchange._pruned_at = b.program.exchange._pruned_at = a.now()
    settle(*trio)
    stop(c, winter="")
    settle(*trio)
    assert is_known(a) == (False, False, False)
    assert is_known(c) == (True, False, True)
    at(28.2, *trio)
    settle(*trio)
    assert is_known(c) == (False, False, False)


def test_nothing_comes_back_from_a_host_that_was_cut_off_for_less(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="", autumn="")
    settle(*trio)
    c.away = True
    allow(a, "spring")
    settle(a, b)
    for days in (10, 20, 27.9):
        at(days, *trio)
        settle(*trio)
    assert set(stops.load(c.stopped).campaigns) == {"spring", "autumn"}
    c.away = False
    c.start()
    settle(c, a, b)
    assert all(set(stops.load(h.stopped).campaigns) == {"autumn"} for h in trio)
    at(28.1, *trio)
    settle(*trio)
    assert is_known(a) == (False, False, False)
    assert all(set(stops.load(h.stopped).campaigns) == {"autumn"} for h in trio)


def test_what_came_late_waits_for_a_host_that_has_not_seen_it(trio: tuple[Place, Place, Place]) -> None:
    """A host that was cut off itself deletes: the entry is old when the others learn of it."""
    a, b, c = trio
    stop(a, spring="", autumn="")
    settle(*trio)
    a.away = True
    allow(a, "spring")
    settle(a)
    at(20, *trio)
    settle(b, c)
    c.away = True
    a.away = False
    at(30, *trio)
    settle(a, b)
    at(31, *trio)
    settle(a, b)
    assert is_known(b)[:2] == (True, True)
    c.away = False
    settle(c, a, b)
    assert all(set(stops.load(h.stopped).campaigns) == {"autumn"} for h in trio)


def test_a_host_that_was_away_for_longer_is_not_waited_for(trio: tuple[Place, Place, Place]) -> None:
    a, b, c = trio
    stop(a, spring="")
    settle(*trio)
    c.away = True
    allow(a, "spring")
    settle(a, b)
    at(28.1, a, b)
    settle(a, b)
    assert is_known(a) == is_known(b) == (False, False, False)


def test_words_that_cannot_be_read_acknowledge_nothing(
    trio: tuple[Place, Place, Place], tmp_path: Path
) -> None:
    a, b, _ = trio
    stop(a, spring="")
    settle(*trio)
    allow(a, "spring")
    settle(*trio)
    registry = SqliteRegistry(tmp_path / "registry" / "registry.db")
    registry.put("cluster-host", "news/d", {"v": 1, "sealed": "AAAA"})
    registry.close()
    at(28.1, *trio)
    settle(*trio)
    assert is_known(a) == is_known(b) == (True, True, True)
