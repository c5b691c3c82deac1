"""Faults put into single steps of the filter, the shipper and the stores, that no other test noticed."""

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from contract.old_sqlite import old_file
from contract.store_samples import AT, SampleRows
from engagement.classify.model import Context
from engagement.classify.read import read_rules
from engagement.events.ids import EventIds
from engagement.events.model import Hit, MessageEvent
from engagement.events.rows import rows
from engagement.links.model import Identity, Kind
from engagement.links.payload import pack_identity, payload, transmission_of
from engagement.shipper import reclassifier
from engagement.shipper.loop import Shipper
from engagement.shipper.reclassifier import Reclassifier
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query
from engagement.stores.sqlite.store import SqliteStore
from hop_mail import TO, api, mail, site
from smtpapi.find import html
from smtpapi.find.model import Page
from smtpapi.mime import quoted_printable
from smtpapi.mime.deadline import CHECK_BYTES, no_deadline
from smtpapi.model.message import Field, Message
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.request.vendor_headers import translated
from smtpapi.request.vendor_rules import named
from smtpapi.rewrite import places
from unit.event_samples import hit
from unit.lua_runs import SMALL, run

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


# What is read and written


@pytest.mark.parametrize("scan", [html.scan, html.scan_by_expressions])
def test_a_bare_sign_in_svg_hides_no_link(scan: Callable[[bytes], Page]) -> None:
    page = scan(b'<svg>1 < 2 <a href="http://a.example/">x</a></svg>')
    assert [anchor.target for anchor in page.anchors] == [b"http://a.example/"]


def test_the_walk_in_c_is_taken_where_it_is_built() -> None:
    assert (html.scan is html.scan_by_expressions) == (html._walk is None)


def test_cutting_a_long_line_looks_at_the_clock_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quoted_printable, "_IN_C", False)
    looks: list[None] = []
    data = b"=" * 100_000
    quoted_printable.encode_quoted_printable(data, b"\r\n", lambda: looks.append(None))
    assert len(looks) > -(-len(data) // CHECK_BYTES), "no more than while it is escaped"


def test_a_transmissions_id_is_read_from_a_payload_with_its_first_octet() -> None:
    identity = Identity(bytes(16), 0xFEDCBA9876543210, "ida@example.net", 1_793_000_000, 1_793_000_500)
    assert transmission_of(payload(pack_identity(identity), b"", filler=False)) == 0xFEDCBA9876543210


def test_a_vendors_wrong_value_is_told_with_its_place_in_json() -> None:
    found = translated([named("sendgrid")], Message((Field("X-SMTPAPI", b' {"unique_args": 5}'),), b""))
    assert found.notes == ("X-SMTPAPI.unique_args ignored: it says no metadata",)


def test_a_policy_in_lua_requires_a_module_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own.lua").write_text("return {answer = function() return '42' end}")
    text = (
        "local own, again = require('own'), require('own') local m = {}"
        " function m:validate_data(msg, ac, vctx) vctx:set(msys.core.VCTX_MESS, 'a', own.answer())"
        " vctx:set(msys.core.VCTX_MESS, 'b', again.answer()) return msys.core.VALIDATE_CONT end"
        " msys.registerModule('m', m)"
    )
    policy = LuaPolicy([LuaSource(tmp_path / "p.lua", text.encode())], Path.read_bytes, limits=SMALL)
    context, _ = run(policy)
    assert (context.lookup("a"), context.lookup("b")) == ("42", "42")


def test_mail_that_came_with_links_of_ours_has_its_records_already() -> None:
    once = mail(site(added="shared"), recipients=TO[:1])
    assert len(once.consider().injections) == 1
    tracked = once.queued().message
    fields = (*tracked.fields, api(campaign_id="c"))
    again = replace(once, message=Message(fields, tracked.body, tracked.eol))
    assert again.consider().injections == ()


# SQLite


def test_what_came_is_told_of_a_store_that_has_not_moved_yet(tmp_path: Path) -> None:
    telling = SampleRows()
    rows = [row for at in range(3) for row in telling.hit(at=at * 1000, message=at)]
    old_file(tmp_path / "events.db", rows, rolled=True)
    store = SqliteStore(tmp_path / "events.db", writing=True)
    names = [event["event_id"] for event in store.arrivals("0").events]
    store.close()
    assert names == [row.event_id for row in rows]


def test_a_message_that_is_delayed_twice_in_an_hour_is_one_message_however_late_that_is_told(
    tmp_path: Path,
) -> None:
    ids, store = EventIds(b"delayed-"), SqliteStore(tmp_path / "events.db", writing=True)
    for at in (1000, 2000):
        name = (1).to_bytes(16, "big")
        store.add(list(rows(MessageEvent(ids.next(AT + at), AT + at, "delay", "mx", "q", 7, name))))
        store.roll_up()
    (count,) = store.totals(Query()).values()
    store.close()
    assert (count.recorded, count.messages) == (2, 1)
