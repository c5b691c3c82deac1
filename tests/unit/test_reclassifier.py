"""Stored hits judged anew: by other hits, by a delivery, by other rules (engagement.shipper)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.store_samples import AT, SampleRows
from engagement.classify.model import Seen, Within
from engagement.classify.read import read_rules
from engagement.classify.rule_set import RuleSet, _many
from engagement.classify.shipped import shipped
from engagement.events.classify import Classification, ReaderClass
from engagement.events.ids import EventIds
from engagement.events.model import Hit, MessageEvent
from engagement.events.record import encode
from engagement.events.rows import EventRow, RowSource, rows
from engagement.events.signals import Signals
from engagement.links.model import Kind
from engagement.shipper import recent_clicks, reclassifier
from engagement.shipper.loop import Shipper
from engagement.shipper.recent_clicks import RecentClicks
from engagement.shipper.reclassifier import Reclassifier, is_withheld
from engagement.shipper.reclassify import Change, Outcome, reclassify
from engagement.spool.write import SpoolWriter
from engagement.stores.memory import MemoryStore
from engagement.stores.port import Query, StoreError
from unit.label_samples import FIRST, old

IDS = EventIds(b"outcomes")
LINKS = [f"https://example.org/{number}" for number in range(5)]


class Site:
    """A store and what judges its hits anew. Its clock stands an hour after AT at most."""

    def __init__(self, within: int = 3600) -> None:
        self.store = MemoryStore()
        self.sample = SampleRows()
        self.now = AT / 1000 + 60
        self.rules = shipped()
        self.reclassifier = Reclassifier(self.store, lambda: self.rules, within, lambda: self.now)

    def add(self, *made: list[EventRow]) -> None:
        """Store rows and note them, as the shipper does."""
        all_rows = [row for each in made for row in each]
        self.store.add(all_rows)
        self.reclassifier.note(all_rows)

    def all_turns(self) -> int:
        """Let nothing wait; return how many labels changed."""
        changed = 0
        while self.reclassifier.waits:
            changed += self.reclassifier.turn(now=True)
        return changed

    def labels(self) -> dict[str, int]:
        """How many hits each rule has decided, probable ones with a question mark."""
        found: dict[str, int] = {}
        for _, label in self.store.hits(0, AT * 2):
            name = label.reason if label.certain else f"{label.reason}?"
            found[name] = found.get(name, 0) + 1
        return found


def delivery(at: int, message: int = 1) -> list[EventRow]:
    name = message.to_bytes(16, "big")
    return list(rows(MessageEvent(IDS.next(AT + at), AT + at, "delivery", "mx", "q", 7, name)))


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_burst_turns_all_its_clicks_whichever_came_first(site: Site) -> None:
    clicks = [site.sample.hit(at=1000 * number, target=link) for number, link in enumerate(LINKS[:4])]
    for click in clicks[::-1]:
        site.add(click)
    assert site.labels() == {"browser": 4}
    assert site.reclassifier.turn() == 4
    assert site.labels() == {"burst": 4}
    (past,) = site.store.past_labels(clicks[0][0].event_id)
    assert (past.label.reason, past.until_ms) == ("browser", int(site.now * 1000))


def test_links_that_a_browser_loads_ahead_are_no_burst(site: Site) -> None:
    """It loads what its reader points at; the reader's own click is judged by itself."""
    for number, link in enumerate(LINKS[:4]):
        (row,) = site.sample.hit(at=500 * number, target=link)
        source = row.source
        assert isinstance(source, RowSource)
        assert isinstance(source.event, Hit)
        signals = int(Signals.RECORDED | Signals.PREFETCH)
        site.add([replace(row, source=replace(source, event=replace(source.event, signals=signals)))])
    site.add(site.sample.hit(at=2_500, target=LINKS[4]))
    site.all_turns()
    assert site.labels() == {"prefetch-header": 4, "browser": 1}


def test_in_any_order_and_in_any_number_of_turns_the_labels_are_the_same() -> None:
    for turns in (1, 2, 5):
        site = Site()
        made = [site.sample.hit(at=900 * number, target=link) for number, link in enumerate(LINKS)]
        for number, click in enumerate([*made[::2], *made[1::2], site.sample.hit(Kind.OPEN, at=4_500)]):
            site.add(click)
            if number % (6 // turns or 1) == 0:
                site.reclassifier.turn(now=True)
        site.reclassifier.turn(now=True)
        assert site.labels() == {"burst": 5, "browser": 1}


def test_a_delivery_that_comes_later_judges_the_hits_before_it(site: Site) -> None:
    site.add(site.sample.hit(Kind.OPEN, at=0), site.sample.hit(at=12_000), site.sample.hit(at=40_000))
    site.reclassifier.turn(now=True)
    assert site.labels() == {"browser": 3}
    site.add(delivery(10_000))
    assert site.reclassifier.turn(now=True) == 2
    assert site.labels() == {"before-delivery": 1, "at-delivery?": 1, "browser": 1}


def test_a_bare_open_becomes_certain_when_the_delivery_is_known(site: Site) -> None:
    site.add(site.sample.hit(Kind.OPEN, at=9_000, agent="Mozilla/5.0"))
    site.add(delivery(0))
    site.reclassifier.turn(now=True)
    assert site.labels() == {"apple-privacy-at-delivery": 1}


def test_one_address_in_the_mail_of_many_recipients_turns_the_first_of_them_too(site: Site) -> None:
    for number in range(10):
        site.add(site.sample.hit(at=900 * number, message=number + 1))
        site.reclassifier.turn(now=True)
    assert site.labels() == {"many-recipients?": 10}


def test_what_an_address_did_is_not_undone_when_it_is_forgotten(site: Site) -> None:
    site.add(*(site.sample.hit(at=900 * number, message=number + 1) for number in range(10)))
    site.reclassifier.turn(now=True)
    site.now += 1800
    site.add(site.sample.hit(at=1_800_000, message=50))
    site.add(site.sample.hit(Kind.OPEN, at=1_800_000, message=1))
    site.reclassifier.turn(now=True)
    assert site.labels() == {"many-recipients?": 10, "browser": 2}


def test_clicks_of_many_recipients_that_take_their_time_are_peoples(site: Site) -> None:
    for number in range(10):
        site.add(site.sample.hit(at=2_000 * number, message=number + 1))
    site.reclassifier.turn(now=True)
    assert site.labels() == {"browser": 10}


def test_hits_older_than_asked_keep_their_labels_and_still_are_evidence() -> None:
    site = Site(within=63)  # three seconds before AT
    clicks = [
        site.sample.hit(at=at, target=link) for at, link in zip((-4_000, -2_000, 0, 900), LINKS, strict=False)
    ]
    site.add(*clicks)
    assert site.reclassifier.turn() == 3
    assert site.labels() == {"browser": 1, "burst": 3}


def test_nothing_is_judged_anew_where_it_is_off() -> None:
    site = Site(within=0)
    site.add(*(site.sample.hit(at=number, target=link) for number, link in enumerate(LINKS)))
    assert site.reclassifier.turn(now=True) == 0


def test_a_turn_is_bounded_and_the_next_one_is_not_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclassifier, "MESSAGES", 2)
    for message in range(1, 4):
        site.add(
            *(site.sample.hit(at=number, target=link, message=message) for number, link in enumerate(LINKS))
        )
    assert site.reclassifier.turn() == 10
    assert site.reclassifier.turn() == 0
    assert site.reclassifier.turn(now=True) == 5
    assert site.reclassifier.turn(now=True) == 0


def test_a_store_that_fails_costs_no_evidence(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(*(site.sample.hit(at=number, target=link) for number, link in enumerate(LINKS)))

    def fail(*_: object) -> int:
        raise StoreError("locked")

    with monkeypatch.context() as patched:
        patched.setattr(site.store, "relabel", fail)
        with pytest.raises(StoreError):
            site.reclassifier.turn()
    assert site.reclassifier.turn(now=True) == 5


def test_a_label_of_other_rules_that_says_the_same_is_left_alone(site: Site) -> None:
    (row,) = site.sample.hit()
    source = row.source
    assert isinstance(source, RowSource)
    site.add([replace(row, source=replace(source, label=Classification(ReaderClass.HUMAN, "browser", "1")))])
    assert site.reclassifier.turn() == 0


def others(folder: Path, version: int) -> RuleSet:
    """The shipped rules and one that calls the sample's browser a machine."""
    (folder / "05-site.toml").write_text(
        f'version = {version}\n[[rule]]\nname = "ours"\nclass = "scanner"\ncertainty = "certain"\n'
        'agent_contains = "firefox"\nreason = "x"\nsource = "x"\n'
    )
    return read_rules(folder)


def test_rules_that_changed_judge_young_hits_anew_in_bounded_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclassifier, "MESSAGES", 2)
    site = Site(within=63)  # three seconds before AT
    for message in range(1, 6):
        site.add(site.sample.hit(at=-20_000 * (message == 1) + message, message=message))
    site.all_turns()
    assert site.labels() == {"browser": 5}
    site.rules = others(tmp_path, 7)
    assert [site.reclassifier.turn(now=True) for _ in range(2)] == [2, 2]
    assert site.labels() == {"browser": 1, "ours": 4}
    assert site.all_turns() == 0
    site.rules = read_rules(tmp_path)  # the same rules, read again
    assert site.reclassifier.turn(now=True) == 0
    assert not site.reclassifier.waits
    site.rules = others(tmp_path, 8)  # rules that say the same
    assert [site.reclassifier.turn(now=True) for _ in range(4)] == [0, 0, 0, 0]


def test_what_came_in_goes_before_what_changed_rules_ask_for(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclassifier, "MESSAGES", 1)
    site.add(site.sample.hit(message=1), site.sample.hit(message=2))
    site.all_turns()
    site.rules = others(tmp_path, 7)
    new = site.sample.hit(at=5, message=3)
    site.add(new)
    site.reclassifier.turn(now=True)
    (label,) = (label for hit, label in site.store.hits(0, AT * 2) if hit.id == new[0].event_id)
    assert label.reason == "ours"
    assert site.labels() == {"browser": 2, "ours": 1}
    site.all_turns()
    assert site.labels() == {"ours": 3}


def test_changed_rules_leave_hits_whose_evidence_is_gone(site: Site, tmp_path: Path) -> None:
    (row,) = site.sample.hit()
    source = row.source
    assert isinstance(source, RowSource)
    assert isinstance(source.event, Hit)
    site.add([replace(row, source=replace(source, event=_without_reader(source.event, "withheld")))])
    site.reclassifier.turn(now=True)
    (tmp_path / "90-people.toml").write_text("version = 9\n")
    site.rules = read_rules(tmp_path)
    assert site.reclassifier.turn(now=True) == 0
    assert site.labels() == {"browser": 1}


def test_a_store_that_fails_while_it_is_looked_through_is_asked_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add(site.sample.hit())
    site.reclassifier.turn(now=True)
    site.rules = others(tmp_path, 7)

    def fail(*_: object) -> int:
        raise StoreError("locked")

    with monkeypatch.context() as patched:
        patched.setattr(site.store, "hits", fail)
        with pytest.raises(StoreError):
            site.reclassifier.turn(now=True)
    assert site.reclassifier.turn(now=True) == 1


def test_what_an_address_did_is_forgotten_after_the_span() -> None:
    recent = RecentClicks(10)
    for at in range(0, 64_000, 1_000):
        recent.add("203.0.113.9", Seen(at, b"m"), Within(100, 5))
    assert [each.at_ms for each in recent.by_address["203.0.113.9"]] == list(range(53_000, 64_000, 1_000))


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(1, 20),
)
def test_messages_clicked_in_among_many_are_told_once_more_when_they_are(
    made: list[tuple[int, int]], number: int, seconds: int
) -> None:
    """In whatever order they come: each message is told at or after the click that made it one of many."""
    recent, within = RecentClicks(100), Within(number, seconds)
    clicks = [Seen(at * 1000, bytes([message])) for at, message in made]
    among_many: set[Seen] = set()
    for place, click in enumerate(clicks, 1):
        classified = recent.add("a", click, within)
        known = sorted(clicks[:place])
        now = {each for each in known if _many(known, each.at_ms, within)}
        assert {each.what for each in now - among_many} <= set(classified)
        among_many = now
    assert recent.by_address["a"] == sorted(clicks, key=lambda each: each.at_ms)


def test_clicks_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_clicks, "MOST", 100)
    recent = RecentClicks(10)
    for number in range(1000):
        recent.add(f"203.0.113.{number}", Seen(number, b"m"), Within(10, 5))
        assert sum(map(len, recent.by_address.values())) <= 100
    for number in range(1000):
        recent.add("203.0.113.9", Seen(1000 + number, b"m"), Within(10, 5))
        assert sum(map(len, recent.by_address.values())) <= 1000


def test_the_shipper_judges_anew_what_it_has_carried(tmp_path: Path) -> None:
    site = Site()
    with_records = SpoolWriter(tmp_path)
    for number, link in enumerate(LINKS):
        (row,) = site.sample.hit(at=number, target=link)
        source = row.source
        assert isinstance(source, RowSource)
        with_records.append(encode(source.event))
    with_records.close()
    shipper = Shipper(tmp_path, site.store, reclassifier=site.reclassifier, now=lambda: site.now)
    assert shipper.drain()
    assert site.labels() == {"burst": 5}


def test_before_it_ends_the_shipper_judges_all_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reclassifier, "MESSAGES", 2)
    site = Site()
    for message in range(7):
        site.add(
            *(site.sample.hit(at=number, target=link, message=message) for number, link in enumerate(LINKS))
        )
    tmp_path.joinpath("spool").mkdir()
    shipper = Shipper(tmp_path / "spool", site.store, reclassifier=site.reclassifier, now=lambda: site.now)
    assert shipper.drain()
    assert site.labels() == {"burst": 35}
    assert not site.reclassifier.waits


def test_a_store_that_fails_while_judging_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site()
    site.add(*(site.sample.hit(at=number, target=link) for number, link in enumerate(LINKS)))

    def fail(*_: object) -> int:
        raise StoreError("locked")

    monkeypatch.setattr(site.store, "relabel", fail)
    shipper = Shipper(tmp_path, site.store, reclassifier=site.reclassifier, now=lambda: site.now)
    assert shipper.drain()
    assert (shipper.status.last_error, site.reclassifier.waits) == ("locked", True)


def test_a_fault_of_ours_while_judging_stops_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()
    site.add(*(site.sample.hit(at=number, target=link) for number, link in enumerate(LINKS)))

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(site.store, "hits_of", fail)
    assert Shipper(tmp_path, site.store, reclassifier=site.reclassifier, now=lambda: site.now).drain()
    assert not site.reclassifier.waits
    assert "1 message(s) not judged anew: ZeroDivisionError" in caplog.text


# Whatever its age: `smtpapi classify --since`


def last(site: Site, *, now_ms: int | None = None, portion: int = 200) -> Outcome:
    steps = reclassify(site.store, site.rules, AT - 10_000, AT + 10**9, now_ms=now_ms, portion=portion)
    return list(steps)[-1]


@pytest.mark.parametrize("portion", [1, 2, 200])
def test_a_dry_run_tells_from_what_to_what_and_changes_nothing(site: Site, portion: int) -> None:
    site.store.add(old(site.sample.hit(agent="Slackbot-LinkExpanding 1.0")))
    site.store.add(old(site.sample.hit(at=1, message=2, agent="okhttp/4")))
    site.store.add(old(site.sample.hit(at=2, message=3, agent="curl/8", expired=True)))
    site.store.add(site.sample.hit(at=3, message=4))
    outcome = last(site, portion=portion)
    assert (outcome.hits, outcome.withheld, outcome.written) == (4, 0, 0)
    assert dict(outcome.changes) == {
        Change("human", "user-agent", "scanner", "link-preview"): 1,
        Change("human", "user-agent", "scanner?", "library-of-apps"): 1,
        Change("human", "user-agent", "scanner", "library"): 1,
    }
    assert site.labels() == {"user-agent": 3, "browser": 1}


def test_done_it_changes_the_same_and_done_again_nothing(site: Site) -> None:
    made = [
        site.sample.hit(at=number, message=number + 1, agent="curl/8", unsubscribe=True)
        for number in range(7)
    ]
    site.store.add([row for each in made for row in old(each)])
    assert last(site, now_ms=AT + 5, portion=3).written == 7
    assert site.labels() == {"library": 7}
    assert {event["x_client_class"] for event in site.store.find(Query())} == {"scanner"}
    assert site.store.past_labels(made[0][0].event_id)[0].label == FIRST
    again = last(site, now_ms=AT + 6)
    assert (again.written, again.changes.total(), again.hits) == (0, 0, 7)


def test_stopped_in_the_middle_the_next_run_does_the_rest(site: Site) -> None:
    site.store.add(
        [
            row
            for number in range(6)
            for row in old(site.sample.hit(at=number, message=number + 1, agent="curl/8"))
        ]
    )
    steps = reclassify(site.store, site.rules, AT, AT + 100, now_ms=AT, portion=2)
    assert next(steps).written == 2
    steps.close()
    assert site.labels() == {"library": 2, "user-agent": 4}
    assert last(site, now_ms=AT).written == 4


def test_only_hits_of_the_time_change_whatever_else_their_message_has(site: Site) -> None:
    site.store.add(old(site.sample.hit(agent="curl/8")) + old(site.sample.hit(at=5_000, agent="curl/8")))
    for _ in reclassify(site.store, site.rules, AT + 1, AT + 10_000, now_ms=AT):
        pass
    assert site.labels() == {"user-agent": 1, "library": 1}


# What versions before 0.2 put in the place of a User-Agent.
_OLD_TERMS = (
    *("", "ms-office", "msoffice", "microsoft outlook", "thunderbird", "googleimageproxy", "fastmail"),
    *("yahoomailproxy", "duckduckgo-image-proxy", "barracuda", "google-safety", "proofpoint", "mimecast"),
    *("safelinks", "urldefense", "trendmicro", "bot/", "bot;", "crawler", "spider", "curl/", "wget/"),
    *("python-requests", "python-urllib", "httpx/", "go-http-client", "java/", "libwww-perl"),
    *("headlesschrome", "phantomjs", "facebookexternalhit", "mozilla/5.0"),
)


@pytest.mark.parametrize("agent", ["withheld", "withheld library", *_OLD_TERMS])
def test_rows_whose_evidence_is_gone_are_counted_and_left(site: Site, agent: str) -> None:
    (row,) = site.sample.hit()
    source = row.source
    assert isinstance(source, RowSource)
    assert isinstance(source.event, Hit)
    event = _without_reader(source.event, agent)
    assert is_withheld(event)
    label = Classification(ReaderClass.PREFETCH, "of old", "1")
    site.store.add([replace(row, client="prefetch", source=RowSource(event, label))])
    outcome = last(site, now_ms=AT)
    assert (outcome.hits, outcome.withheld, outcome.written, dict(outcome.changes)) == (1, 1, 0, {})
    assert site.labels() == {"of old": 1}


def _without_reader(hit: Hit, agent: str) -> Hit:
    values = {name: getattr(hit, name) for name in hit.__struct_fields__}
    return Hit(**(values | {"client_address": "", "user_agent": agent, "accept_language": ""}))


def test_an_agent_that_is_one_of_the_old_words_by_chance_is_judged(site: Site) -> None:
    """Its address is there, so privacy took nothing."""
    site.store.add(old(site.sample.hit(agent="curl/")))
    assert last(site, now_ms=AT).written == 1


@pytest.mark.parametrize("portion", [1, 3, 200])
def test_recipients_of_one_address_are_seen_over_the_portions(site: Site, portion: int) -> None:
    for number in range(12):
        site.store.add(site.sample.hit(at=500 * number, message=number + 1))
    last(site, now_ms=AT, portion=portion)
    assert site.labels() == {"many-recipients?": 12}


def test_rules_that_an_operator_changed_show_what_they_would_do(site: Site, tmp_path: Path) -> None:
    (tmp_path / "05-site.toml").write_text(
        'version = 3\n[[rule]]\nname = "test-mails"\nclass = "scanner"\ncertainty = "certain"\n'
        'network = "203.0.113.0/24"\nreason = "our own office"\nsource = "us"\n'
    )
    site.store.add(site.sample.hit() + site.sample.hit(Kind.OPEN, at=1))
    site.rules = read_rules(tmp_path)
    assert dict(last(site).changes) == {Change("human", "browser", "scanner", "test-mails"): 2}
    last(site, now_ms=AT)
    assert {label.rules for _, label in site.store.hits(AT, AT + 5)} == {"3"}
