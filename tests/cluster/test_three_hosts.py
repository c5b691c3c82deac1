"""Three hosts in network namespaces, a real Cassandra: they answer as one, also with one cut off."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cassandra_site import Node
from cluster.three_hosts import Host, Load, hosts, running, same_keys, within
from engagement import objections
from engagement.links import stops
from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.ring_file import load_ring, save_ring
from engagement.links.token import copy_sealer
from engagement.settings import load_file
from engagement.stores import migrate_store
from engagement.suppression.snapshot_file import load as load_snapshot
from mta.mta_site import SECRET, until
from smtpapi.commands import main

PROMISED = 10.0  # seconds from a change to its effect on each host

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces of the network are root's")


def first_ring(path: Path) -> None:
    save_ring(path, Ring().rotated(SECRET, int(time.time())))


def path_of(ring: Path) -> str:
    """A link made with the key that signs in this ring."""
    now = int(time.time())
    whose = Identity(os.urandom(16), 7, "b@rcpt.test", now, now + 86_400, campaign="short")
    sealer = copy_sealer(load_ring(ring).signing, whose)
    return f"/f/a/{sealer.seal(Kind.CLICK, Link(b'https://shop.example/a?x=1', 'top')).decode()}"


def say(host: Host, *arguments: str) -> Result:
    """A command of a host, by this process: the files are the host's, the database is reached from here."""
    return CliRunner().invoke(main, [*arguments, "--config", str(host.config)])


@needs_root
@pytest.mark.timeout(900)
def test_a_rotation_and_a_host_that_is_cut_off_and_back(tmp_path: Path, cassandra_node: Node) -> None:
    cassandra_node.migrated("registry")
    with hosts(cassandra_node, tmp_path, "registry") as (a, b, c):
        first_ring(a.ring)
        with ExitStack() as stack:
            stack.enter_context(running([a, b, c], ("cluster", "run")))
            until(lambda: same_keys([a, b, c]), 60, "one ring on all hosts")
            stack.enter_context(running([b], ("tracker",)))
            until(b.answers, 60, "the tracker")

            done = say(a, "keys", "rotate")
            assert done.exit_code == 0, done.output
            assert b.status_of(path_of(a.ring), "x", "192.0.2.2") == 302
            within(
                PROMISED, lambda: {each.signing() for each in (b, c)} == {a.signing()}, "the key that signs"
            )

            c.cut()
            assert say(a, "links", "stop", "--campaign", "short").exit_code == 0
            within(
                PROMISED, lambda: b.status_of(path_of(a.ring), "x", "192.0.2.2") == 410, "the stopped link"
            )
            assert not c.stopped.exists(), "it goes on with what it has"
            refused = say(a, "keys", "rotate", "--wait", "0")
            assert refused.exit_code == 2
            assert "must not sign yet" in refused.output
            assert "host3 (heard" in refused.output
            c.mend()
            within(60, lambda: same_keys([a, b, c]), "the host that is back")
            within(PROMISED, lambda: stops.load(c.stopped).campaigns == {"short": ""}, "the stopped link")


def figures(host: Host) -> tuple[int, ...]:
    """Messages taken in, their links that were followed, and how often: the sums of all hosts."""
    shown = host.say("stats", "--json", "--precision", "day").splitlines()
    (row,) = [json.loads(line) for line in shown if line.startswith("{")] or [{}]
    names = ("count_injected", "count_unique_clicked", "x_count_recorded_clicked")
    return tuple(int(row.get(name, 0)) for name in names)


def _has(host: Host, expected: tuple[int, ...]) -> bool:
    return figures(host) == expected


def _suppresses(host: Host) -> bool:
    return host.snapshot.exists() and len(load_snapshot(host.snapshot)) == 1


def _reached(what: str, trio: list[Host], done: Callable[[Host], bool]) -> None:
    """Wait until it is so on all hosts, and print how long that took."""
    took = within(PROMISED, lambda: all(map(done, trio)), what)
    print(f"{what} on all: {took:.1f} s")


@needs_root
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_under_load_links_of_each_host_open_on_all_and_figures_add_up(
    tmp_path: Path, cassandra_node: Node
) -> None:
    """Mail through all three filters, each link followed on all three trackers at once, throughout."""
    with hosts(cassandra_node, tmp_path, "load") as (a, b, c):
        trio = [a, b, c]
        first_ring(a.ring)
        migrate_store(load_file(a.config), lambda _: None)
        with ExitStack() as stack:
            stack.enter_context(running(trio, ("cluster", "run")))
            until(lambda: same_keys(trio), 60, "one ring on all hosts")
            stack.enter_context(running(trio, ("tracker",), ("ship",), ("milter",)))
            until(lambda: all(host.answers() and host.socket.exists() for host in trio), 60, "the programs")
            crew = [Load(host, trio) for host in trio]
            for each in crew:
                each.start()
            until(lambda: all(each.clicked > 20 for each in crew), 60, "a load")

            print(a.say("keys", "rotate").strip())
            first = a.signing()
            took = within(PROMISED, lambda: {h.signing() for h in trio} == {first}, "the key that signs")
            print(f"signs on all: {took:.1f} s")
            print(b.say("keys", "rotate").strip())
            second = b.signing()
            took = within(PROMISED, lambda: {h.signing() for h in trio} == {second}, "the key that signs")
            print(f"signs on all: {took:.1f} s")

            a.say("links", "stop", "--campaign", "spring")
            _reached("stopped", trio, lambda host: "spring" in stops.load(host.stopped).campaigns)
            b.say("suppress", "add", "ida@example.net")
            _reached("suppressed", trio, _suppresses)
            c.objections.write_text("Ole@example.org\n")
            _reached("objected", trio, lambda host: objections.load(host.objections).hold("ole@example.org"))
            a.rules.mkdir(exist_ok=True)
            (a.rules / "50-ours.toml").write_text("version = 7\n")
            _reached("rules", trio, lambda host: (host.rules / "50-ours.toml").exists())

            c.cut()
            before = [each.clicked for each in crew]
            time.sleep(5)
            a.say("links", "stop", "--campaign", "while-cut")
            c.say("links", "stop", "--campaign", "cut-off")
            refused = a.say("keys", "rotate", "--wait", "2", status=2)
            assert "host3 (heard" in refused
            added = next(key.id for key in a.ring_keys() if key.id not in {1, first, second})
            time.sleep(5)
            assert all(each.clicked > count for each, count in zip(crew, before, strict=True))
            assert c.waiting() > 0
            c.mend()
            took = within(60, lambda: same_keys(trio), "the host that is back")
            print(f"back, with the key: {took:.1f} s")
            within(
                60,
                lambda: all(
                    {"spring", "while-cut", "cut-off"} <= stops.load(h.stopped).campaigns.keys() for h in trio
                ),
                "what was stopped on both sides",
            )
            until(lambda: a.status_after("keys", "use", str(added)) == 0, 60, "its word")
            within(PROMISED, lambda: {h.signing() for h in trio} == {added}, "the key that signs")
            until(
                lambda: all(each.clicked > count + 30 for each, count in zip(crew, before, strict=True)), 60
            )

            for each in crew:
                each.end()
            assert [each.dead for each in crew] == [[], [], []]
            clicked, sent = sum(each.clicked for each in crew), sum(each.sent for each in crew)
            print(f"{sent} messages, {clicked} clicks")
            assert clicked == 3 * sent
            for host in trio:
                until(partial(_has, host, (sent, sent, clicked)), 120, "the figures")
                print(f"{host.name}: {figures(host)}")
