"""Every page that the application has: none is forgotten, and each export is what page and API say."""

import csv
import io
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engagement.access.keys import ApiKeys
from engagement.access.scopes import EVERY
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from tracker_web.pages.content.people import STATES
from tracker_web.pages.site import NAVIGATION
from tracker_web.web.app import create_app
from web.servers import Site
from web.shown_site import DAY, PAGES, shown_site
from web.web_cases import NOW

FROM, TO = (NOW - 13 * DAY) // DAY * DAY, NOW // DAY * DAY + DAY
# What pages of ours load, and nobody opens: the mail in the click map's frame, rows of the live page.
PARTS = {"static", "click_map.mail", "live.new"}
EVERYTHING = ", ".join(EVERY)  # the scopes of a key that may do everything
EXPORTED = ".exports:has([href*='export=csv'])"
Row = dict[str, Any]


class Asker:
    """Somebody who looks at pages, and asks the API the same."""

    def __init__(self, client: FlaskClient, token: str, key: str) -> None:
        self._client, self._token, self._key = client, token, key

    def page(self, path: str) -> TestResponse:
        answer = self._client.get(path, headers={"Authorization": f"Bearer {self._token}"})
        for _ in range(60):  # on a busy machine a page may take longer than the server waits for it
            if answer.status_code != 503:
                break
            time.sleep(0.2)
            answer = self._client.get(path, headers={"Authorization": f"Bearer {self._token}"})
        assert answer.status_code == 200, path
        return answer

    def api(self, path: str, **query: str) -> list[Row]:
        parameters = {name: value for name, value in query.items() if value}
        answer = self._client.get(
            f"/api/v1{path}", query_string=parameters, headers={"Authorization": self._key}
        )
        assert answer.status_code == 200, answer.get_data(as_text=True)
        found: list[Row] = answer.get_json()["results"]
        return found

    def figures(self, path: str, *names: str, **query: str) -> list[Row]:
        return self.api(f"/metrics/deliverability{path}", metrics=",".join(names), **_TIMES, **query)


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(seconds))


_TIMES = {"from": _time(FROM), "to": _time(TO), "timezone": "UTC"}
_LONGER = {**_TIMES, "from": _time(FROM - DAY), "per_page": "1000"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return shown_site(tmp_path_factory.mktemp("every"))


@pytest.fixture(scope="module")
def asker(site: Site) -> Iterator[Asker]:
    registry = SqliteRegistry(site.folder / "registry.db")
    key = ApiKeys(registry).add("asker", ("all",))
    registry.close()
    app = create_app(load_file(site.config))
    with app.test_client() as client:
        yield Asker(client, (site.folder / "web-token").read_text().strip(), key)


def test_no_page_of_the_application_is_forgotten(site: Site) -> None:
    """All tests of every page go by PAGES: whoever adds a page puts an address of it there."""
    app = create_app(load_file(site.config))
    there = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.rule.startswith("/api/")
    }
    routes = app.url_map.bind("localhost")
    looked_at = {routes.match(urlsplit(path).path)[0] for path in PAGES}
    assert looked_at == there - PARTS
    assert {endpoint for endpoint, _ in NAVIGATION} <= looked_at


@pytest.mark.parametrize("path", PAGES)
def test_each_export_is_what_the_page_shows_and_the_api_says(asker: Asker, path: str) -> None:
    page = BeautifulSoup(asker.page(path).data, "html.parser")
    exported = page.select(EXPORTED)
    for links in exported:
        as_csv, as_json = (str(link["href"]) for link in links.select("a"))
        name = parse_qs(urlsplit(as_json).query)["table"][0]
        rows: list[Row] = asker.page(as_json).get_json()
        assert list(csv.DictReader(io.StringIO(asker.page(as_csv).text))) == [
            {key: "" if value is None else str(value) for key, value in row.items()} for row in rows
        ]
        shown = links.find_previous(["table", "ol"])
        assert isinstance(shown, Tag)
        are_shown(shown, rows)
        COMPARED[name](asker, path, rows)
    assert len(page.select("table.cards-when-narrow")) <= len(exported)


def are_shown(shown: Tag, rows: list[Row]) -> None:
    """Compare a table, or a list of what happened, with the rows of its export."""
    if shown.name == "ol":
        lines = shown.select("li[data-id]")
        moments = [line.select("time")[0]["datetime"] for line in lines]
        assert moments == [row["timestamp"] for row in rows]
        return
    lines = shown.select("tbody tr")
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        texts = [cell.get_text(" ", strip=True) for cell in line.select("td:not(.bar, .tools)")]
        whole = " ".join([*texts, *(str(each["title"]) for each in line.select("[title]"))])
        whole = " ".join([whole, *(str(each["href"]) for each in line.select("[href]"))])
        for name, value in row.items():
            assert _seen(value, texts, whole, line), (name, value, whole)


def _seen(value: object, texts: list[str], whole: str, line: Tag) -> bool:
    if value is None or value == "" or isinstance(value, bool):  # a word of the page stands for these
        return True
    if isinstance(value, float) and value <= 1:
        near = (f"{value * 100:.0f}\u202f%", f"{value * 100:.1f}\u202f%")
        return any(text in near for text in texts)
    if isinstance(value, int | float):
        number = f"{int(value):,}".replace(",", "\u202f")
        return any(text == number or text.startswith(f"{number} ") for text in texts)
    moment = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?Z?", str(value))
    if moment:
        return f"{moment[1]}T{moment[2]}Z" in {str(each["datetime"]) for each in line.select("time")}
    return str(value) in whole or str(value).replace("_", "-") in whole or value == EVERYTHING


def _groups(path: str, by: str, group: str) -> Callable[[Asker, str, list[Row]], None]:
    """Compare all figures of a table of groups with those of the API."""

    def compare(asker: Asker, page: str, rows: list[Row]) -> None:
        names = [name for name in rows[0] if name.startswith(("count_", "x_count_"))]
        answer = {row[by]: row for row in asker.figures(path, *names, campaigns=_campaign(page))}
        assert {row[group] for row in rows} == set(answer)
        for row in rows:
            assert {name: row[name] for name in names} == {name: answer[row[group]][name] for name in names}

    return compare


def _campaign(page: str) -> str:
    found = re.match(r"/(?:campaigns|map|reached)/([^?]+)", page)
    return found[1] if found else ""


def _series(asker: Asker, page: str, rows: list[Row]) -> None:
    names = ("x_count_people_unique_rendered", "x_count_people_unique_clicked")
    if "count=total" in page:
        names = ("x_count_people_rendered", "x_count_people_clicked")
    answer = asker.figures("/time-series", *names, precision="day", campaigns=_campaign(page))
    assert [pair for row in rows if any(pair := (row["opens"], row["clicks"]))] == [
        pair for row in answer if any(pair := (row[names[0]], row[names[1]]))
    ]


def _hours(asker: Asker, page: str, rows: list[Row]) -> None:
    names = ("x_count_people_rendered", "x_count_people_clicked")
    answer = asker.figures("/time-series", *names, precision="hour", campaigns=_campaign(page))
    sums: Counter[tuple[int, str]] = Counter()
    for row in answer:
        for name in names:
            sums[int(row["ts"][11:13]), name] += row[name]
    assert [(row["opens"], row["clicks"]) for row in rows] == [
        tuple(sums[hour, name] for name in names) for hour in range(24)
    ]


def _recipients(asker: Asker, page: str, rows: list[Row]) -> None:
    state = parse_qs(urlsplit(page).query).get("state", ["sent"])[0]
    types = ",".join(STATES[state].types)
    answer = asker.api("/events/message", campaigns=_campaign(page), events=types, **_LONGER)
    if "link=" in page:
        answer = [
            each for each in answer if each.get("x_link_ordinal") == 0 or each["target_link_name"] == "walks"
        ]
    assert {row["recipient"]: row["times"] for row in rows} == Counter(each["raw_rcpt_to"] for each in answer)


def _events(asker: Asker, page: str, rows: list[Row]) -> None:
    parts = urlsplit(page)
    parameters = {"recipients": parse_qs(parts.query).get("address", [""])[0]}
    if parts.path.startswith("/messages/"):
        parameters["messages"] = parts.path.rpartition("/")[2]
    answer = asker.api("/events/message", **parameters, **_LONGER)
    of = ("type", "raw_rcpt_to", "message_id")
    shown, stated = (
        Counter((row["timestamp"][:19], *(row[name] for name in of)) for row in each)
        for each in (rows, answer[: len(rows)])
    )
    assert shown == stated
    assert len(rows) == min(len(answer), 50)


def _machines(asker: Asker, _page: str, rows: list[Row]) -> None:
    names = ("x_count_recorded_rendered", "x_count_recorded_clicked")
    (answer,) = asker.figures("", *names)
    assert {name: sum(row[name] for row in rows) for name in names} == {name: answer[name] for name in names}


def _message_links(asker: Asker, page: str, rows: list[Row]) -> None:
    clicks = asker.api("/events/message", messages=page.rpartition("/")[2], events="click", **_LONGER)
    answer = {(each["target_link_name"], each["target_link_url"]) for each in clicks}
    assert {(row["link"], row["target"]) for row in rows if row["clicked_by"]} == answer
    assert answer


def _programs(asker: Asker, _page: str, rows: list[Row]) -> None:
    """Of the newest hundred of each kind, people's."""
    clicks = asker.api("/events/message", events="click,amp_click", **{**_TIMES, "per_page": "100"})
    by_people = [each for each in clicks if each["x_client_class"] in ("human", "proxy")]
    assert sum(row["clicks"] for row in rows) == sum(each.get("x_client_certain", True) for each in by_people)
    agents = {each["user_agent_parsed"].get("agent_family", "") for each in by_people}
    assert any(row["program"].startswith(name) for row in rows for name in agents if name)


def _suppression(asker: Asker, _page: str, rows: list[Row]) -> None:
    answer = asker.api("/suppression-list")
    assert [(row["recipient"], row["type"], row["source"]) for row in rows] == [
        (each["recipient"], each["type"], each["source"]) for each in answer
    ]


def _batches(asker: Asker, page: str, rows: list[Row]) -> None:
    answer = asker.api(f"{page}/batches")
    assert [(row["batch_id"], row["ts"]) for row in rows] == [
        (each["batch_id"], each["ts"]) for each in answer
    ]


def _webhooks(asker: Asker, _page: str, rows: list[Row]) -> None:
    answer = asker.api("/webhooks")
    assert [(row["id"], row["name"], row["target"], row["events"]) for row in rows] == [
        (each["id"], each["name"], each["target"], len(each["events"])) for each in answer
    ]


def _domains(asker: Asker, _page: str, rows: list[Row]) -> None:
    answer = asker.api("/tracking-domains")
    assert [(row["domain"], row["secure"], row["default"], row["verified"]) for row in rows] == [
        (each["domain"], each["secure"], each["default"], each["status"]["verified"]) for each in answer
    ]


def _nothing(_asker: Asker, _page: str, rows: list[Row]) -> None:
    """The API has no call for what a change of rules would do, and none for users and keys."""
    assert rows


COMPARED: dict[str, Callable[[Asker, str, list[Row]], None]] = {
    "campaigns": _groups("/campaign", "campaign_id", "campaign"),
    "domains": _groups("/domain", "domain", "domain"),
    "links": _groups("/link-name", "link_name", "link"),
    "series": _series,
    "hours": _hours,
    "recipients": _recipients,
    "events": _events,
    "machines": _machines,
    "message-links": _message_links,
    "programs": _programs,
    "suppression": _suppression,
    "batches": _batches,
    "webhooks": _webhooks,
    "tracking-domains": _domains,
    "users": _nothing,
    "keys": _nothing,
    "changes": _nothing,
}
