"""Each page opened, used with the keyboard alone and exported, in a real browser; compared with the API."""

import csv
import io
import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from engagement.access.keys import ApiKeys
from engagement.registry.sqlite import SqliteRegistry
from engagement.tracking_domains.kept import TrackingDomains
from engagement.webhooks.documents import Documents
from web.chromium import Page, browser
from web.everybody import at, walk
from web.servers import PATIENCE, Site, opener, running, web
from web.shown_site import ADDRESS, CAMPAIGN, DAY, MESSAGE, PERIOD, WEBHOOK, shown_site
from web.web_cases import NOW

FROM, TO = (NOW - 13 * DAY) // DAY * DAY, NOW // DAY * DAY + DAY


class Walk:
    """A person without a mouse. folder: where the browser puts what is downloaded."""

    def __init__(self, page: Page, site: Site, folder: Path) -> None:
        self.page, self.site, self.folder = page, site, folder
        registry = SqliteRegistry(site.folder / "registry.db")
        self.key = ApiKeys(registry).add("walker", ("all",))
        registry.close()

    def open(self, path: str) -> None:
        self.page.open(at(self.site, path))

    def press(self, where: str, key: str = "Enter") -> None:
        """Go to a place by Tab, and press a key there."""
        walk(self.page, where, most=250)
        self.page.press(key)

    def write(self, where: str, text: str) -> None:
        walk(self.page, where, most=250)
        for letter in text:
            self.page.press(letter)

    def until(self, expression: str) -> None:
        self.page.wait_for(f"document.readyState === 'complete' && ({expression})", PATIENCE)

    def says(self) -> str:
        return str(self.page.value("document.querySelector('main').innerText"))

    def export(self, table: str) -> list[dict[str, str]]:
        """Press Enter on the link that exports a table of this page; return the file's rows."""
        for old in self.folder.iterdir():
            old.unlink()
        self.press(f'a[href*="export=csv"][href*="table={table}"]')
        file = self.folder / f"{table}.csv"
        for _ in range(int(PATIENCE * 50)):
            if file.exists() and file.stat().st_size:
                break
            self.page.promised("new Promise(done => setTimeout(done, 20))")
        return list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))

    def api(self, path: str, **query: Any) -> Any:
        address = at(self.site, f"/api/v1{path}?{urlencode(query)}")
        asked = urllib.request.Request(address, headers={"Authorization": self.key})
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return json.load(answer)

    def figures(self, path: str, *names: str) -> list[dict[str, Any]]:
        given = {"from": _time(FROM), "to": _time(TO), "timezone": "UTC", "metrics": ",".join(names)}
        found: list[dict[str, Any]] = self.api(f"/metrics/deliverability{path}", **given)["results"]
        return found


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(seconds))


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    site = shown_site(tmp_path_factory.mktemp("walked"))
    files = tmp_path_factory.mktemp("files")
    with running(site, web), browser(tmp_path_factory.mktemp("profile")) as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(files))
        page.open(opener(site))
        yield Walk(page, site, files)


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
    told = walker.figures(path, *names)
    assert shown == {row[by]: tuple(row[name] for name in names) for row in told}
    assert len(shown) == 3


def test_the_overviews_series_is_that_of_the_api(walker: Walk) -> None:
    walker.open(f"/{PERIOD}&count=total")
    walker.press("summary")  # the period
    walker.press("main details summary")  # the numbers of the chart
    shown = [(int(row["opens"]), int(row["clicks"])) for row in walker.export("series")]
    names = ("x_count_people_rendered", "x_count_people_clicked")
    told = {row["ts"][:10]: tuple(row[name] for name in names) for row in _series(walker, *names)}
    assert len(shown) == 14
    assert [each for each in shown if any(each)] == [each for each in told.values() if any(each)]


def _series(walker: Walk, *names: str) -> list[dict[str, Any]]:
    given = {"from": _time(FROM), "to": _time(TO), "timezone": "UTC", "precision": "day"}
    found: list[dict[str, Any]] = walker.api(
        "/metrics/deliverability/time-series", metrics=",".join(names), **given
    )["results"]
    return found


def test_links_are_those_of_the_api(walker: Walk) -> None:
    walker.open(f"/{PERIOD}")
    shown = {row["link"]: int(row["x_count_people_clicked"]) for row in walker.export("links")}
    told = walker.figures("/link-name", "x_count_people_clicked")
    assert shown == {row["link_name"]: row["x_count_people_clicked"] for row in told}
    assert sum(shown.values()) > 3


def test_a_campaign_is_opened_and_one_of_its_lists_followed(walker: Walk) -> None:
    walker.open(f"/campaigns{PERIOD}")
    walker.press(f'main a[href="/campaigns/{CAMPAIGN}"]')
    walker.until(f"location.pathname === '/campaigns/{CAMPAIGN}'")
    shown = {row["link"]: row for row in walker.export("links")}
    assert "walks" in shown
    walker.press('main a[href*="state=bounced"]')
    walker.until("location.search.includes('state=bounced')")
    told = walker.api("/events/message", campaigns=CAMPAIGN, events="bounce", **_all())
    assert [row["recipient"] for row in walker.export("recipients")] == _recipients(told)
    assert _recipients(told)


def test_messages_are_searched_read_and_exported(walker: Walk) -> None:
    walker.open("/messages")
    walker.until("document.activeElement.name === 'q'")
    for letter in ADDRESS:
        walker.page.press(letter)
    walker.page.press("Enter")
    walker.until("location.search.includes('friend0')")
    told = walker.api("/events/message", recipients=ADDRESS, **_all())
    shown = walker.export("events")
    assert [row["message_id"] for row in shown] == [each["message_id"] for each in told["results"]]
    walker.press(f'main a[href="/messages/{MESSAGE}"]')
    walker.until(f"location.pathname === '/messages/{MESSAGE}'")
    assert sorted(row["type"] for row in walker.export("events")) == sorted(row["type"] for row in shown)


def test_a_recipient_is_shown_and_erasing_asks(walker: Walk) -> None:
    walker.open("/recipients")
    walker.write("input[name=address]", ADDRESS)
    walker.page.press("Enter")
    walker.until("location.search.includes('friend0')")
    told = walker.api("/events/message", recipients=ADDRESS, **_all())
    assert len(walker.export("events")) == len(told["results"])
    walker.press('main a[href*="/recipients/erase"]')
    walker.until("location.pathname === '/recipients/erase'")
    walker.press("main a.button")  # Keep
    walker.until("location.pathname === '/recipients'")
    assert ADDRESS in walker.says()


def test_machines_lead_to_what_they_did(walker: Walk) -> None:
    walker.open(f"/machines{PERIOD}")
    rows = walker.export("machines")
    told = walker.figures("", "x_count_recorded_rendered", "x_count_recorded_clicked")
    for name in ("x_count_recorded_rendered", "x_count_recorded_clicked"):
        assert sum(int(row[name]) for row in rows) == sum(row[name] for row in told)
    walker.press('main td a[href^="/machines/rule/"]')
    walker.until("location.pathname.startsWith('/machines/rule/')")
    assert walker.page.value("document.querySelectorAll('.timeline li[data-id]').length") > 0
    walker.press('main dd a[href*="class="]')
    walker.until("location.pathname === '/messages'")
    assert walker.page.value("document.querySelectorAll('.timeline li[data-id]').length") > 0


def test_a_change_of_the_rules_is_tried(walker: Walk) -> None:
    walker.open(f"/machines{PERIOD}")
    walker.press('main a[href="/machines/try"]')
    walker.until("location.pathname === '/machines/try'")
    walker.press("main form select", "b")  # the first rule whose name begins so
    walker.press("main form button")
    walker.until("location.search.includes('rule=b')")
    assert "would change" in walker.says()


def test_the_click_map_is_opened_and_its_links_exported(walker: Walk) -> None:
    walker.open(f"/campaigns/{CAMPAIGN}")
    walker.press(f'main a[href^="/map/{CAMPAIGN}"]')
    walker.until(f"location.pathname === '/map/{CAMPAIGN}'")
    assert {"walks", "tickets"} <= {row["link"] for row in walker.export("links")}


def test_live_is_paused_and_goes_on(walker: Walk) -> None:
    walker.open("/live")
    for said in ("paused", "live"):
        walker.press("#pause", "Space")
        walker.until(f"document.getElementById('state').textContent === '{said}'")


def test_mail_is_stopped_and_the_list_is_the_apis(walker: Walk) -> None:
    walker.open("/suppression")
    walker.write("form[method=post] input[name=recipient]", "stop@b.example")
    walker.press("form[method=post].search button")
    walker.until("location.search.includes('q=stop')")
    walker.open("/suppression")
    shown = {row["recipient"] for row in walker.export("suppression")}
    told = walker.api("/suppression-list")["results"]
    assert shown == {each["recipient"] for each in told} >= {ADDRESS, "stop@b.example"}


def test_a_webhook_is_paused_and_its_batches_are_the_apis(walker: Walk) -> None:
    walker.open("/webhooks")
    walker.press(f'main a[href="/webhooks/{WEBHOOK}"]')
    walker.until(f"location.pathname === '/webhooks/{WEBHOOK}'")
    shown = {row["batch_id"] for row in walker.export("batches")}
    told = walker.api(f"/webhooks/{WEBHOOK}/batches")["results"]
    assert shown == {each["batch_id"] for each in told}
    walker.press('form[action$="/pause"] button')
    walker.until("document.querySelector('form[action$=\"/resume\"]') !== null")
    registry = SqliteRegistry(walker.site.folder / "registry.db")
    assert Documents(registry).state(WEBHOOK)[0].paused
    registry.close()


def test_a_domain_is_added_and_removed(walker: Walk) -> None:
    walker.open("/domains")
    walker.write("input[name=domain]:not([type=hidden])", "keys.example.com")
    walker.page.press("Enter")
    walker.until("document.querySelector('main').innerText.includes('keys.example.com')")
    assert "keys.example.com" in {each["domain"] for each in walker.api("/tracking-domains")["results"]}
    walker.press('form[action$="/remove"]:has(input[value="keys.example.com"]) button')
    walker.until("!document.querySelector('main').innerText.includes('keys.example.com')")
    registry = SqliteRegistry(walker.site.folder / "registry.db")
    assert TrackingDomains(registry, "").get("keys.example.com") is None
    registry.close()


def test_a_key_is_made_with_its_scopes(walker: Walk) -> None:
    walker.open("/access")
    walker.write('form[action$="/keys"] input[name=name]', "by keys")
    walker.press('form[action$="/keys"] input[value="metrics/view"]', "Space")
    walker.press('form[action$="/keys"] button')
    walker.until("document.querySelector('.done code') !== null")
    own, walker.key = walker.key, str(walker.page.value("document.querySelector('.done code').textContent"))
    try:
        assert walker.figures("/campaign", "count_injected")
    finally:
        walker.key = own


def test_the_pipeline_is_read_and_the_language_changed(walker: Walk) -> None:
    walker.open("/pipeline")
    assert "records" in walker.says()
    walker.press("select[name=language]", "D")  # Deutsch
    walker.page.press("Tab")
    walker.page.press("Enter")
    walker.until("document.documentElement.lang === 'de'")
    assert walker.page.value("location.pathname") == "/pipeline"
    assert "Datensätze" in walker.says()
    walker.press("select[name=language]", "E")  # English
    walker.page.press("Tab")
    walker.page.press("Enter")
    walker.until("document.documentElement.lang === 'en'")


def test_who_signs_out_is_out(walker: Walk) -> None:
    walker.open("/pipeline")
    walker.press("form.out button")
    walker.until("location.pathname === '/sign-in'")
    walker.open("/campaigns")
    assert walker.page.value("document.querySelector('input[name=password]') !== null")
    walker.page.open(opener(walker.site))


def _all() -> dict[str, str]:
    return {"from": _time(FROM - DAY), "to": _time(TO), "timezone": "UTC", "per_page": "1000"}


def _recipients(told: dict[str, Any]) -> list[str]:
    return [str(each["raw_rcpt_to"]) for each in told["results"]]
