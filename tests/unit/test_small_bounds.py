"""Bounds, defaults and words of the core that stand in one place and that much depends on."""

import sqlite3
import time
from pathlib import Path

import mmdb_writer
import netaddr
import pytest

from engagement.classify.networks import AsDatabase
from engagement.events.outcomes import UNTOUCHED
from engagement.links.keys import Ring
from engagement.settings import load_text
from engagement.settings.option_types.mail import is_list_id
from engagement.settings.schema.site.policy import PolicyStanza
from engagement.shipper.reclassifier import is_withheld
from engagement.stores.aggregate import (
    HOUR_MS,
    Figure,
    RepeatFinder,
    from_texts,
    hours_of,
    is_by_hours,
    to_text,
    together,
)
from engagement.stores.port import Query
from engagement.stores.sqlite import migrate
from smtpapi.hop.fingerprint import marked_id
from smtpapi.mime import encoded_words
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan, Why
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.policy import PolicyError, PolicyFailed
from smtpapi.policy.hooks import parse
from smtpapi.policy.lua.state import Limits
from smtpapi.telemetry.counters import FILE_NAME, Counters
from unit.event_samples import hit
from unit.lua_runs import load, run


def test_each_reason_to_leave_a_message_has_its_words() -> None:
    assert set(UNTOUCHED) == {why.value for why in Why}
    assert all(text == text.strip() and text[-1] not in ".~" for text in UNTOUCHED.values())


def test_a_policy_without_limits_of_its_own_has_those_of_the_configuration() -> None:
    declared = PolicyStanza()
    limits = Limits(declared.lua_instructions, declared.lua_memory, declared.lua_time / 1000)
    assert Limits() == limits


@pytest.mark.parametrize(
    "value",
    [b"", b"ab 1", b"ab x 00", b"ab 123456 00", b"zz 1 00", b"ab 1 00", b"1", b"ab 1 00 00", b"\xff 1 00"],
)
def test_what_is_no_mark_names_no_message(value: bytes) -> None:
    assert marked_id(value) is None
    whole = b"00112233445566778899aabbccddeeff"
    assert marked_id(value.replace(b"ab", whole)) == (
        bytes.fromhex(whole.decode()) if value == b"ab 1 00" else None
    )
    assert marked_id(whole + b" 12345 00") == bytes.fromhex(whole.decode())


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?=\r\n\t =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?=~=?utf-8?q?b?=", "a~b"),
        ("=?utf-8?q?a?= ~ =?utf-8?q?b?=", "a ~ b"),
        ("=?utf-8?q?a_b?=", "a b"),
        ("=?utf-8?Q?=5F?=", "_"),
        ("=?utf-8?b?YQ==?=", "a"),
        ("~=?utf-8?q?a?=~", "~a~"),
    ],
)
def test_what_stands_between_encoded_words_stays_but_for_white_space(text: str, decoded: str) -> None:
    assert encoded_words.decode(text) == decoded


def test_a_list_s_id_has_255_characters_at_most() -> None:
    label = "a" * 63
    whole = f"{label}.{label}.{label}.{'a' * 63}"
    assert len(whole) == 255
    assert is_list_id(whole)
    assert not is_list_id(whole + "a")
    assert not is_list_id(f"b.{whole}")
    assert is_list_id("news.example.com")


RELEASED = (
    *("", "ms-office", "msoffice", "microsoft outlook", "thunderbird", "googleimageproxy", "fastmail"),
    *("yahoomailproxy", "duckduckgo-image-proxy", "barracuda", "google-safety", "proofpoint", "mimecast"),
    *("safelinks", "urldefense", "trendmicro", "bot/", "bot;", "crawler", "spider", "curl/", "wget/"),
    *("python-requests", "python-urllib", "httpx/", "go-http-client", "java/", "libwww-perl"),
    *("headlesschrome", "phantomjs", "facebookexternalhit", "mozilla/5.0"),
)


@pytest.mark.parametrize("agent", RELEASED)
def test_a_word_that_stood_for_a_program_is_withheld_where_the_address_is(agent: str) -> None:
    assert is_withheld(hit(user_agent=agent, client_address=""))
    assert not is_withheld(hit(user_agent=agent, client_address="192.0.2.1"))
    assert not is_withheld(hit(user_agent=f"{agent}~", client_address=""))


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        (Query(), (0, None)),
        (Query(from_ms=HOUR_MS - 1, to_ms=HOUR_MS), (0, 0)),
        (Query(from_ms=HOUR_MS, to_ms=HOUR_MS + 1), (1, 1)),
        (Query(from_ms=-5, to_ms=2 * HOUR_MS), (0, 1)),
    ],
)
def test_hours_that_a_query_touches(query: Query, hours: tuple[int, int | None]) -> None:
    assert hours_of(query) == hours


def test_figures_of_hours_are_those_of_all_recipients() -> None:
    assert is_by_hours(Query(campaigns=("c",), types=("open",)))
    assert not is_by_hours(Query(recipients=("ida@example.net",)))
    assert not is_by_hours(Query(messages=("0" * 32,)))
    assert not is_by_hours(Query(transmissions=("1",)))
    assert not is_by_hours(Query(ids=("x",)))


def test_sums_of_figures_are_the_same_as_text() -> None:
    hours = [
        {"open": Figure(1, 2, 3, 4, 5, 6)},
        {"click": Figure(7, 0, 0, 0, 0, 1), "open": Figure(1, 1, 1, 1, 1, 1)},
    ]
    expected = {"click": Figure(7, 0, 0, 0, 0, 1), "open": Figure(2, 3, 4, 5, 6, 7)}
    assert together(hours) == from_texts(map(to_text, hours)) == expected
    assert list(from_texts(map(to_text, hours))) == ["click", "open"]
    assert from_texts([]) == {}


def test_a_repeat_comes_soon_after_the_same_hit_by_the_same_client() -> None:
    finder = RepeatFinder()
    one = ("click", "l", "human")
    assert not finder.is_repeat(*one, 100_000)
    assert not finder.is_repeat("open", "l", "human", 100_001)
    assert not finder.is_repeat("click", "m", "human", 100_001)
    assert not finder.is_repeat("click", "l", "proxy", 100_001)
    assert finder.is_repeat(*one, 100_002)
    assert not finder.is_repeat("click", "", "human", 100_002)
    assert not finder.is_repeat("click", "", "human", 100_002)


def test_counters_lie_where_no_folder_was_yet(tmp_path: Path) -> None:
    Counters.create(1, tmp_path / "run" / "smtpapi")
    Counters.create(1, tmp_path / "run" / "smtpapi")
    assert (tmp_path / "run" / "smtpapi" / FILE_NAME).stat().st_size > 0


def test_what_is_no_address_is_in_no_autonomous_system(tmp_path: Path) -> None:
    database = mmdb_writer.MMDBWriter(4, "GeoLite2-ASN")
    database.insert_network(netaddr.IPSet(["198.51.100.0/24"]), {"autonomous_system_number": 8075})
    database.insert_network(netaddr.IPSet(["203.0.113.0/24"]), {"autonomous_system_number": "8075"})
    database.to_db_file(str(tmp_path / "as.mmdb"))
    found = AsDatabase(tmp_path / "as.mmdb")
    addresses = ("198.51.100.7", "192.0.2.1", "203.0.113.1", "nonsense", "", "2001:db8::1")
    assert [found.of(address) for address in addresses] == [8075, 0, 0, 0, 0, 0]


def test_an_error_of_a_script_is_told_whatever_octets_it_has() -> None:
    with pytest.raises(PolicyFailed, match="a\ufffdb"):
        run(load("error('a\\255b', 0)"))


@pytest.mark.parametrize(
    ("error", "expected"), [("a b", ": a b"), ("a\nb", ": a b"), (" a \t b\n", ": a b"), ("", "")]
)
def test_an_error_of_a_policy_is_one_line(error: str, expected: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse(f"x = 1\nraise ValueError({error!r})", "p.py")
    assert str(raised.value) == f"p.py:2: ValueError{expected}"


@pytest.mark.parametrize("broken", ["nonsense", "INSERT INTO b VALUES (1)"])
def test_a_migration_that_fails_leaves_the_file_as_it_was(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    first = migrate.Migration(1, "0001.sql", "CREATE TABLE a (x);")
    scripts = [first, migrate.Migration(2, "0002.sql", f"CREATE TABLE b (x UNIQUE CHECK (x > 5)); {broken};")]
    monkeypatch.setattr(migrate, "migrations", lambda: scripts)
    with pytest.raises(sqlite3.Error):
        migrate.migrate(connection, "events.db")
    assert not connection.in_transaction
    assert migrate.version(connection) == 0
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    scripts.pop()
    migrate.migrate(connection, "events.db")
    assert migrate.version(connection) == 1
    connection.close()


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("shift_jis", b"\x83{{opening_single_curly()}} x\r\n"),
        ("big5", b"\xa4{{opening_single_curly()}} x\r\n"),
    ],
)
@pytest.mark.parametrize("tracking", ["true", "false"])
def test_half_a_character_is_no_part_of_a_macro(charset: str, body: bytes, tracking: str) -> None:
    kind = f" text/plain; charset={charset}".encode()
    message = Message((Field("Content-Type", kind), Field("Content-Transfer-Encoding", b" 8bit")), body)
    listener = f"click_tracking_enabled = {tracking} open_tracking_enabled = {tracking}"
    site = Site.build(
        load_text(f"smtpapi {{ }} ESMTP_Listener {{ {listener} }}"), Ring().rotated(b"k" * 32, 1)
    )
    envelope = Envelope(Client("127.0.0.1"), "a@s.test", ("b@r.test",), "Q1")
    outcome = consider(site, envelope, message, now=1_795_501_800.0, tick=time.monotonic).outcome
    assert not isinstance(outcome, Plan) or outcome.edits == ()
    message = Message(message.fields, body.replace(b"{{", b" {{"))
    outcome = consider(site, envelope, message, now=1_795_501_800.0, tick=time.monotonic).outcome
    assert isinstance(outcome, Plan)
    assert [edit.kind for edit in outcome.edits] == ["macro"]
