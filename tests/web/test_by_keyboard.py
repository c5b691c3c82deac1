"""Each page opened, used with the keyboard alone and exported, in a real browser; compared with the API."""

import csv
import io
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from engagement.access.keys import ApiKeys
from engagement.registry.sqlite import SqliteRegistry
from engagement.tracking_domains.documents import TrackingDomains
from engagement.webhooks.documents import Documents
from web.chromium import at_path, fresh_page, go
from web.everybody import at, press, write
from web.servers import TIMEOUT, Site, opener, running, web
from web.shown_site import ADDRESS, CAMPAIGN, DAY, MESSAGE, PERIOD, WEBHOOK, shown_site
from web.web_cases import NOW

FROM, TO = (NOW - 13 * DAY) // DAY * DAY, NOW // DAY * DAY + DAY


class Walk:
    """A person without a mouse."""

    def __init__(self, page: Page, site: Site, key: str) -> None:
        self.page, self.site, self.key = page, site, key
        self.main = page.get_by_role("main")

    def open(self, path: str) -> None:
        go(self.page, path)

    def link(self, selector: str) -> Locator:
        """The first link in the page's main part that a selector finds."""
        return self.main.locator(f"a{selector}").first

    def button(self, name: str) -> Locator:
        return self.main.get_by_role("button", name=name, exact=True)

    def field(self, name: str) -> Locator:
        return self.main.get_by_label(name)

    def export(self, table: str) -> list[dict[str, str]]:
        """Press Enter on the link that exports a table of this page; return the file's rows."""
        with self.page.expect_download() as download:
            press(self.main.get_by_role("link", name=f"Export {table} as CSV").first)
        return list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))

    def api(self, path: str, **query: Any) -> Any:
        address = at(self.site, f"/api/v1{path}?{urlencode(query)}")
        request = urllib.request.Request(address, headers={"Authorization": self.key})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)

    def figures(self, path: str, *names: str) -> list[dict[str, Any]]:
        given = {"from": _time(FROM), "to": _time(TO), "timezone": "UTC", "metrics": ",".join(names)}
        found: list[dict[str, Any]] = self.api(f"/metrics/deliverability{path}", **given)["results"]
        return found


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(seconds))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = shown_site(tmp_path_factory.mktemp("walked"))
    with running(made, web):
        yield made


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    registry = SqliteRegistry(site.folder / "registry.db")
    try:
        return ApiKeys(registry).add("walker", ("all",))
    finally:
        registry.close()


@pytest.fixture(scope="module")
def tab(site: Site, chromium: Browser) -> Iterator[Page]:
    """One for all who walk: a context for each would take as long as the walks."""
    with fresh_page(chromium, base_url=at(site, "")) as page:
        go(page, opener(site))
        yield page


@pytest.fixture
def walker(site: Site, tab: Page, key: str) -> Walk:
    return Walk(tab, site, key)


@pytest.mark.parametrize(("page", "table", "group", "path", "by"), [
    ("/", "campaigns", "campaign", "/campaign", "campaign_id"),
    ("/", "domains", "domain", "/domain", "domain"),
    ("/campaigns", "campaigns", "campaign", "/campaign", "campaign_id"),
])  # fmt: skip
def test_groups_of_mail_are_those_of_the_api(
    walker: Walk, page: str, table: str, group: str, path: str, by: str
) -> None:
    names = ("count_injected", "count_delivered", "count_bounce")
    walker.open(page + PERIOD)
    shown = {row[group]: tuple(int(row[name]) for name in names) for row in walker.export(table)}
    answer = walker.figures(path, *names)
    assert shown == {row[by]: tuple(row[name] for name in names) for row in answer}
    assert len(shown) == 3


def test_the_overviews_series_is_that_of_the_api(walker: Walk) -> None:
    walker.open(f"/{PERIOD}&count=total")
    press(walker.main.locator("summary", has_text="The numbers").first)
    shown = [(int(row["opens"]), int(row["clicks"])) for row in walker.export("series")]
    names = ("x_count_people_rendered", "x_count_people_clicked")
    answer = {row["ts"][:10]: tuple(row[name] for name in names) for row in _series(walker, *names)}
    assert len(shown) == 14
    assert [each for each in shown if any(each)] == [each for each in answer.values() if any(each)]


def _series(walker: Walk, *names: str) -> list[dict[str, Any]]:
    given = {"from": _time(FROM), "to": _time(TO), "timezone": "UTC", "precision": "day"}
    found: list[dict[str, Any]] = walker.api(
        "/metrics/deliverability/time-series", metrics=",".join(names), **given
    )["results"]
    return found


def test_links_are_those_of_the_api(walker: Walk) -> None:
    walker.open(f"/{PERIOD}")
    shown = {row["link"]: int(row["x_count_people_clicked"]) for row in walker.export("links")}
    answer = walker.figures("/link-name", "x_count_people_clicked")
    assert shown == {row["link_name"]: row["x_count_people_clicked"] for row in answer}
    assert sum(shown.values()) > 3


def test_a_campaign_is_opened_and_one_of_its_lists_followed(walker: Walk) -> None:
    walker.open(f"/campaigns{PERIOD}")
    press(walker.link(f'[href="/campaigns/{CAMPAIGN}"]'))
    at_path(walker.page, f"/campaigns/{CAMPAIGN}")
    shown = {row["link"]: row for row in walker.export("links")}
    assert "walks" in shown
    press(walker.link('[href*="state=bounced"]'))
    at_path(walker.page, f"/reached/{CAMPAIGN}", query="state=bounced")
    answer = walker.api("/events/message", campaigns=CAMPAIGN, events="bounce", **_all())
    assert [row["recipient"] for row in walker.export("recipients")] == _recipients(answer)
    assert _recipients(answer)


def test_messages_are_searched_read_and_exported(walker: Walk) -> None:
    walker.open("/messages")
    expect(walker.field("Recipient, Message-ID")).to_be_focused()
    walker.page.keyboard.type(ADDRESS)
    walker.page.keyboard.press("Enter")
    at_path(walker.page, "/messages", query="friend0")
    answer = walker.api("/events/message", recipients=ADDRESS, **_all())
    shown = walker.export("events")
    assert [row["message_id"] for row in shown] == [each["message_id"] for each in answer["results"]]
    press(walker.link(f'[href="/messages/{MESSAGE}"]'))
    at_path(walker.page, f"/messages/{MESSAGE}")
    assert sorted(row["type"] for row in walker.export("events")) == sorted(row["type"] for row in shown)


def test_a_recipient_is_shown_and_erasing_asks(walker: Walk) -> None:
    walker.open("/recipients")
    write(walker.field("Address"), ADDRESS)
    walker.page.keyboard.press("Enter")
    at_path(walker.page, "/recipients", query="friend0")
    answer = walker.api("/events/message", recipients=ADDRESS, **_all())
    assert len(walker.export("events")) == len(answer["results"])
    press(walker.main.get_by_role("link", name="Erase…"))
    at_path(walker.page, "/recipients/erase")
    press(walker.main.get_by_role("link", name="Keep"))
    at_path(walker.page, "/recipients")
    expect(walker.main).to_contain_text(ADDRESS)


def test_machines_lead_to_what_they_did(walker: Walk) -> None:
    walker.open(f"/machines{PERIOD}")
    rows = walker.export("machines")
    answer = walker.figures("", "x_count_recorded_rendered", "x_count_recorded_clicked")
    for name in ("x_count_recorded_rendered", "x_count_recorded_clicked"):
        assert sum(int(row[name]) for row in rows) == sum(row[name] for row in answer)
    happened = walker.main.locator(".timeline li[data-id]")
    press(walker.main.locator('td a[href^="/machines/rule/"]').first)
    walker.page.wait_for_url("**/machines/rule/*")
    expect(happened).not_to_have_count(0)
    press(walker.main.locator('dd a[href*="class="]').first)
    at_path(walker.page, "/messages")
    expect(happened).not_to_have_count(0)


def test_a_change_of_the_rules_is_tried(walker: Walk) -> None:
    walker.open(f"/machines{PERIOD}")
    press(walker.link('[href="/machines/try"]'))
    at_path(walker.page, "/machines/try")
    press(walker.field("Rule").first, "b")  # the first rule whose name begins so
    press(walker.button("Try it"))
    at_path(walker.page, "/machines/try", query="rule=b")
    expect(walker.main).to_contain_text("would change")


def test_the_click_map_is_opened_and_its_links_exported(walker: Walk) -> None:
    walker.open(f"/campaigns/{CAMPAIGN}")
    press(walker.link(f'[href^="/map/{CAMPAIGN}"]'))
    at_path(walker.page, f"/map/{CAMPAIGN}")
    assert {"walks", "tickets"} <= {row["link"] for row in walker.export("links")}


def test_live_is_paused_and_goes_on(walker: Walk) -> None:
    walker.open("/live")
    state = walker.page.get_by_role("status")
    expect(state).to_have_text("live")
    for status in ("paused", "live"):
        press(walker.main.locator("#pause"), "Space")
        expect(state).to_have_text(status)


def test_mail_is_stopped_and_the_list_is_the_apis(walker: Walk) -> None:
    walker.open("/suppression")
    write(walker.main.get_by_label("Address", exact=True), "stop@b.example")
    press(walker.button("Stop"))
    at_path(walker.page, "/suppression", query="q=stop")
    walker.open("/suppression")
    shown = {row["recipient"] for row in walker.export("suppression list")}
    answer = walker.api("/suppression-list")["results"]
    assert shown == {each["recipient"] for each in answer} >= {ADDRESS, "stop@b.example"}


def test_a_webhook_is_paused_and_its_batches_are_the_apis(walker: Walk) -> None:
    walker.open("/webhooks")
    press(walker.link(f'[href="/webhooks/{WEBHOOK}"]'))
    at_path(walker.page, f"/webhooks/{WEBHOOK}")
    shown = {row["batch_id"] for row in walker.export("batches")}
    answer = walker.api(f"/webhooks/{WEBHOOK}/batches")["results"]
    assert shown == {each["batch_id"] for each in answer}
    press(walker.button("Pause"))
    expect(walker.button("Resume")).to_be_visible()
    registry = SqliteRegistry(walker.site.folder / "registry.db")
    assert Documents(registry).state(WEBHOOK)[0].paused
    registry.close()


def test_a_domain_is_added_and_removed(walker: Walk) -> None:
    walker.open("/domains")
    write(walker.field("Domain").last, "keys.example.com")
    walker.page.keyboard.press("Enter")
    added = walker.main.get_by_role("row", name="keys.example.com")
    expect(added).to_be_visible()
    assert "keys.example.com" in {each["domain"] for each in walker.api("/tracking-domains")["results"]}
    press(added.get_by_role("button", name="Remove"))
    expect(added).to_have_count(0)
    registry = SqliteRegistry(walker.site.folder / "registry.db")
    assert TrackingDomains(registry, "").get("keys.example.com") is None
    registry.close()


def test_a_key_is_made_with_its_scopes(walker: Walk) -> None:
    walker.open("/access")
    button = walker.page.get_by_role("button", name="Make a key")
    form = walker.main.locator("form").filter(has=button)
    write(form.get_by_label("Name"), "by keys")
    press(form.get_by_label("metrics/view"), "Space")
    press(button)
    walker.key = walker.main.locator(".done code").inner_text()
    assert walker.figures("/campaign", "count_injected")


def test_the_pipeline_is_read_and_the_language_changed(walker: Walk) -> None:
    walker.open("/pipeline")
    html, chosen = walker.page.locator("html"), walker.page.locator("select[name=language]")
    expect(walker.main).to_contain_text("records")
    press(chosen, "D")  # Deutsch
    walker.page.keyboard.press("Tab")
    walker.page.keyboard.press("Enter")
    expect(html).to_have_attribute("lang", "de")
    at_path(walker.page, "/pipeline")
    expect(walker.main).to_contain_text("Datensätze")
    press(chosen, "E")  # English
    walker.page.keyboard.press("Tab")
    walker.page.keyboard.press("Enter")
    expect(html).to_have_attribute("lang", "en")


def test_who_signs_out_is_out(site: Site, chromium: Browser) -> None:
    with fresh_page(chromium, complains=True, base_url=at(site, "")) as page:  # of the 401 that it gets
        go(page, opener(site))
        go(page, "/pipeline")
        press(page.get_by_role("button", name="Sign out"))
        at_path(page, "/sign-in")
        go(page, "/campaigns")
        expect(page.get_by_label("Password")).to_be_visible()


def _all() -> dict[str, str]:
    return {"from": _time(FROM - DAY), "to": _time(TO), "timezone": "UTC", "per_page": "1000"}


def _recipients(answer: dict[str, Any]) -> list[str]:
    return [str(each["raw_rcpt_to"]) for each in answer["results"]]
