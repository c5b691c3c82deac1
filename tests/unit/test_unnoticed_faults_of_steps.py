"""Faults put into places of pixels, rules for hits and the shipper's steps, that no other test noticed."""

import gc
from pathlib import Path

import pytest

from contract.store_samples import AT, SampleRows
from engagement.classify.model import Context
from engagement.classify.read import read_rules
from engagement.events.model import Hit
from engagement.links.model import Kind
from engagement.shipper import reclassifier
from engagement.shipper.loop import Shipper
from engagement.shipper.reclassifier import Reclassifier
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from smtpapi.find import html
from smtpapi.mime.deadline import no_deadline
from smtpapi.rewrite import places
from unit.event_samples import hit

FAR = b"x" * 3000  # more than is searched near the end


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (b"<body><b><table><tr><td><table></table>", b"</body>"),
        (b"<body><b><table><tr><td><table></table>" + FAR, b"</body>"),
        (b"<body><b><table></table>" + FAR, b"</body>"),
        (b"<body><b><table><tr><td>" + FAR + b"</body>", b""),
        (b"<body><b><table></table><table><tr><td>" + FAR + b"</body>", b""),
    ],
)
def test_a_pixel_stands_before_the_bodys_end_where_the_last_tag_of_a_table_is_an_end(
    begin: bytes, end: bytes
) -> None:
    data = begin + end
    assert places.last(data, html.scan(data), no_deadline) == len(begin)


RULE = """version = 1

[[rule]]
name = "soon"
scope = "clicks"
class = "scanner"
certainty = "probable"
seconds_after_injection = 2
reason = "nobody clicks so soon"
source = "us"
"""


@pytest.mark.parametrize(
    ("after_ms", "soon"), [(-60_001, False), (-60_000, True), (0, True), (2000, True), (2001, False)]
)
def test_soon_after_the_injection_is_up_to_the_rules_seconds_and_a_minute_of_wrong_clocks(
    tmp_path: Path, after_ms: int, soon: bool
) -> None:
    (tmp_path / "05-site.toml").write_text(RULE, "utf-8")
    click: Hit = hit(Kind.CLICK, user_agent="Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0")
    label = read_rules(tmp_path).classify(click, Context(injected_ms=click.at_ms - after_ms))
    assert (label.reason == "soon") == soon


def test_pythons_collector_runs_again_behind_a_step(tmp_path: Path) -> None:
    with_one = SpoolWriter(tmp_path)
    assert with_one.append(b"x")
    with_one.close()
    assert gc.isenabled()
    try:
        Shipper(tmp_path, MemoryStore()).drain(5)
        assert gc.isenabled()
    finally:
        gc.enable()


def test_at_its_end_the_shipper_classifies_all_that_waits_without_waiting_for_the_next_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclassifier, "MESSAGES", 1)
    monkeypatch.setattr(reclassifier, "_EVERY", 3600.0)
    store, sample = MemoryStore(), SampleRows()
    judge = Reclassifier(store, lambda: read_rules(tmp_path), 3600, lambda: AT / 1000)
    rows = [row for message in (1, 2, 3) for row in sample.hit(message=message)]
    store.add(rows)
    judge.note(rows)
    (tmp_path / "spool").mkdir()
    assert Shipper(tmp_path / "spool", store, reclassifier=judge, now=lambda: AT / 1000).drain(10)
    assert not judge.waits
