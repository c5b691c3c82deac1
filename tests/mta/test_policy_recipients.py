"""What becomes of mail that policy gave another recipient: Postfix's log leads to that one's injection."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engagement.events.model import Injection, MessageEvent, MessageName, names_of
from engagement.events.record import decode
from engagement.maillogs.files import LogFile
from engagement.maillogs.follower import FileLines, Follower
from engagement.maillogs.memory import QueueMemory
from engagement.maillogs.outcomes import Outcomes
from engagement.shipper.messages import chosen
from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter
from mta.hop_site import HopSite, running
from mta.mta_site import open_folders, until
from mta.site_parts import html_mail

pytestmark = pytest.mark.mta

_NODE = "mail.example.test"
_POLICY = """
def validate_data_spool_each_rcpt(msg, ac, vctx):
    if msg.recipient.startswith(("abuse@", "role@")):
        msg.set_rcptto("person@a.sink.test")
"""


@contextmanager
def _running(folder: Path, added: str) -> Iterator[HopSite]:
    folder.mkdir()
    open_folders(folder)
    policy = folder / "policy.py"
    policy.write_text(_POLICY)
    aliases = "inline:{ { role@rcpt.test = other@a.sink.test }, { person@a.sink.test = last@b.sink.test } }"
    more = f'rewriting {{ added_recipients = {added} }} policy {{ file = "{policy}" }}'
    with running(folder, options={"virtual_alias_maps": aliases}, more=more) as one:
        yield one


def _followed(site: HopSite, folder: Path) -> list[MessageEvent]:
    memory = QueueMemory(folder / "follow.db")
    log = str(site.postfix.log)
    source = FileLines(LogFile(site.postfix.log, memory.cursor(log)))
    spool = SpoolWriter(folder / "spool")
    try:
        Follower(log, source, memory, Outcomes(_NODE, memory), spool).drain()
    finally:
        source.close()
        spool.close()
        memory.close()
    events = [decode(entry.record) for entry in SpoolReader(folder / "spool").read()]
    return [event for event in events if isinstance(event, MessageEvent)]


def _outcomes(site: HopSite, folder: Path, count: int) -> list[Injection]:
    """Return the injections that the log's deliveries lead to, by queue id and recipient."""
    injections: list[Injection] = []
    events: list[MessageEvent] = []

    def complete() -> bool:
        injections[:] = site.filter.injections()
        events[:] = [each for each in _followed(site, folder) if each.type == "delivery"]
        return len(events) == len(injections) == count

    until(complete, 20, f"{count} deliveries")
    known: dict[MessageName, list[Injection]] = {}
    for injection in injections:
        for name in names_of(injection):
            known.setdefault(name, []).append(injection)
    by_name = {(each.queue_id, each.recipient_mark) for each in injections}
    assert {(event.queue_id, event.recipient_mark) for event in events} == by_name
    return [found for event in events if (found := chosen(event, known)) is not None]


def test_over_the_hop_a_delivery_is_of_the_one_who_got_the_mail(tmp_path: Path) -> None:
    with _running(tmp_path / "site", "own") as site:
        site.send(["abuse@a.sink.test", "bob@b.sink.test", "cyd@a.sink.test"], html_mail())
        got = ["bob@b.sink.test", "cyd@a.sink.test", "person@a.sink.test"]  # no aliases behind the hop
        copies = site.copies(got)
        assert [site.owner(copies[each].message) for each in got] == got
        assert not site.sink.all_for("abuse@a.sink.test")
        assert sorted(each.recipient for each in _outcomes(site, tmp_path, 3)) == got


def test_in_place_a_delivery_is_of_the_one_who_got_the_mail(tmp_path: Path) -> None:
    """Aliases of the one who was named no longer count, those of the one who gets the mail do."""
    with _running(tmp_path / "site", "shared") as site:
        site.send(["role@rcpt.test"], html_mail())
        assert (
            site.owner(site.copies(["last@b.sink.test"])["last@b.sink.test"].message) == "person@a.sink.test"
        )
        assert not site.sink.all_for("other@a.sink.test")
        assert [each.recipient for each in _outcomes(site, tmp_path, 1)] == ["person@a.sink.test"]
