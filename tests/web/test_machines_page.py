"""The machines page: what each rule decided, with examples, and what a change of it would do."""

import csv
import html
import io
import re
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from engagement.access.users import Role, Users
from engagement.classify.read import read_rules
from engagement.classify.shipped import shipped
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from engagement.shipper.reclassify import Change
from tracker_web.pages import machines
from tracker_web.pages import site as pages
from tracker_web.pages.content.rules import CHANGES, changed, conditions, moved
from tracker_web.web.app import create_app
from web.servers import ROOT, Site
from web.shown_site import PERIOD, shown_site
from web.signing_in import HOST, PASSWORD, sign_in


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return shown_site(tmp_path_factory.mktemp("shown"), 40)


@pytest.fixture
def client(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setattr(machines, "_SECONDS", 60.0)  # a busy machine is not what is tested
    monkeypatch.setattr(pages, "READING_SECONDS", 60.0)
    app = create_app(load_file(site.config))
    with app.test_client() as client:
        token = (site.folder / "web-token").read_text().strip()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        yield client


def text(client: FlaskClient, path: str, status: int = 200, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    while answer.status_code == 503 and b"takes its time" in answer.data:
        time.sleep(0.2)  # on a busy machine a page may take longer than the server waits for it
        answer = client.get(path, headers=headers)
    assert answer.status_code == status, answer.get_data(as_text=True)[:500]
    return answer.get_data(as_text=True)


def exported(client: FlaskClient, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(client, path))))


def test_each_rule_stands_with_its_hits_or_among_those_that_decided_nothing(client: FlaskClient) -> None:
    page = text(client, f"/machines{PERIOD}")
    used = {row["reason"] for row in exported(client, f"/machines{PERIOD}&export=csv")}
    named = set(re.findall(r'href="/machines/rule/([a-z0-9-]+)', page))
    assert {"browser", "image-proxy", "mail-filter"} <= used
    assert named == used | {rule.name for rule in shipped().rules}


def test_a_rule_has_its_conditions_hits_and_examples(client: FlaskClient) -> None:
    page = text(client, f"/machines/rule/mail-filter{PERIOD}")
    assert "barracuda" in page
    assert "Barracuda Sentinel" in page
    count = re.search(r'0 opens, (\d+) clicks: <a href="/messages\?class=scanner">scanner', page)
    assert count is not None
    shown = len(re.findall(r'<li class="machines" data-id=', page))
    assert shown == min(machines._EXAMPLES, int(count[1])) > 5
    assert "mail-filter" not in text(client, f"/machines/rule/head{PERIOD}")
    assert text(client, "/machines/rule/no-such", 404)


def test_what_a_change_would_do_is_said_and_not_done(client: FlaskClient) -> None:
    before = exported(client, f"/machines{PERIOD}&export=csv")
    hits = sum(int(row["x_count_recorded_clicked"]) for row in before if row["reason"] == "mail-filter")
    rows = exported(client, "/machines/try?rule=mail-filter&as=off&export=csv")
    assert rows == [
        {
            "before": "scanner",
            "rule_before": "mail-filter",
            "after": "unknown",
            "rule_after": "no-rule",
            "hits": str(hits),
        }
    ]
    page = text(client, "/machines/try?rule=mail-filter&as=human")
    assert f"people +{hits}" in page
    assert f"machines \N{MINUS SIGN}{hits}" in page
    assert exported(client, f"/machines{PERIOD}&export=csv") == before


@pytest.mark.parametrize("query", ["", "?rule=no-such&as=off", "?rule=browser&as=nonsense"])
def test_without_a_change_the_files_are_tried_as_they_are(client: FlaskClient, query: str) -> None:
    page = text(client, f"/machines/try{query}")
    assert "The rules as their files are now" in page
    assert "<strong>0</strong> would change" in page


def test_a_try_is_bounded(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_TRIED", 10)
    page = text(client, "/machines/try?rule=browser&as=off")
    found = re.search(r"<p>(\d+) hits since", page)
    assert found is not None
    assert 0 < int(found[1]) <= 10


def test_what_a_try_had_no_time_for_is_judged_from_page_to_page(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page goes on where the last one ended, and together they say what one page of more time says."""
    path = "/machines/try?rule=mail-filter&as=off"
    whole = re.search(r"<p>(\d+) hits since.*?<strong>(\d+)</strong>", text(client, path))
    assert whole is not None
    monkeypatch.setattr(machines, "_SECONDS", -1.0)
    monkeypatch.setattr(machines, "_PORTION", 20)
    totals, pages_read = [0, 0], 0
    while path:
        page = text(client, path)
        assert ("Not all were judged" in page) == ('rel="next"' in page)
        found = re.search(r"<p>(\d+) hits since.*?<strong>(\d+)</strong>", page)
        assert found is not None
        totals = [so_far + int(now) for so_far, now in zip(totals, found.groups(), strict=True)]
        following = re.search(r'href="(/machines/try[^"]*since=\d+)" rel="next"', page)
        path = html.unescape(following[1]) if following else ""
        pages_read += 1
    assert totals == [int(number) for number in whole.groups()]
    assert pages_read >= totals[0] // 20 > 2


def test_events_of_a_rule_are_read_as_far_as_there_is_time_and_then_from_there(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = text(client, f"/machines/rule/browser{PERIOD}")
    assert 'rel="next"' not in whole
    monkeypatch.setattr(pages, "READING_SECONDS", 0.0)
    monkeypatch.setattr(pages, "_FIRST_READ", 10)
    page = text(client, f"/machines/rule/browser{PERIOD}")
    assert "10 events of its class were looked at." in page
    seen: set[str] = set()
    for _ in range(3):
        shown = set(re.findall(r'<li class="[a-z]+" data-id="([^"]+)', page))
        assert shown
        assert not shown & seen
        seen |= shown
        following = re.search(r'href="([^"]*cursor=[^"]*)" rel="next"', page)
        assert following is not None
        page = text(client, html.unescape(following[1]))


def test_a_list_of_recipients_goes_on_where_there_was_no_time(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (campaign, *_) = [row["campaign"] for row in exported(client, f"/campaigns{PERIOD}&export=csv")]
    path = f"/reached/{quote(campaign)}"
    whole = {row["recipient"] for row in exported(client, f"{path}?export=csv")}
    monkeypatch.setattr(pages, "READING_SECONDS", 0.0)
    monkeypatch.setattr(pages, "_FIRST_READ", 3)
    found: set[str] = set()
    while path:
        page = text(client, path)
        found |= {name for name in whole if html.escape(name) in page}
        following = re.search(r'href="([^"]*cursor=[^"]*)" rel="next"', page)
        path = html.unescape(following[1]) if following else ""
        if following:
            assert "3 events were read." in page
    assert found == whole
    assert len(whole) > 3


def test_who_sees_a_part_of_the_data_may_not_try(site: Site) -> None:
    registry = SqliteRegistry(site.folder / "registry.db")
    Users(registry).add("Una", PASSWORD, Role.ADMINISTERS, "other")
    registry.close()
    client = create_app(load_file(site.config)).test_client()
    sign_in(client, "Una")
    assert text(client, "/machines/try", 403, **HOST)
    page = text(client, f"/machines{PERIOD}", 200, **HOST)
    assert "/machines/try" not in page
    assert "No request came in" in page


def test_without_a_request_there_is_nothing_to_try(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = shown_site(tmp_path_factory.mktemp("empty"), 0)
    app = create_app(load_file(empty.config))
    token = (empty.folder / "web-token").read_text().strip()
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    assert "Nothing to judge" in text(client, "/machines/try")


def test_every_shipped_rule_says_what_it_asks_for() -> None:
    for rule in (*shipped().rules, *read_rules(ROOT / "etc" / "classify").rules):
        listed = conditions(rule)
        assert listed, rule.name
        assert all(name and value for name, value in listed), rule.name


def test_a_change_is_of_its_rule_alone() -> None:
    rules = shipped().rules
    name = rules[3].name
    for change in CHANGES:
        made = changed(rules, name, change)
        others = [rule for rule in rules if rule.name != name]
        assert [rule for rule in made if rule.name != name] == others
        assert len(made) == len(rules) - (change == "off")
    assert changed(rules, name, "nonsense") == rules
    assert not next(rule for rule in changed(rules, name, "human?") if rule.name == name).label.certain


def test_what_moves_from_one_side_to_another() -> None:
    changes = Counter({Change("scanner", "a", "human", "b"): 3, Change("scanner?", "a", "prefetch", "c"): 2})
    assert moved(changes) == [("people", 3), ("unsure", -2), ("machine", -1)]
