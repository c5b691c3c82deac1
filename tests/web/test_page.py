"""The first page: what it shows, that strangers' text stays text, and that it keeps itself up to date."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace

from engagement.links.model import Kind
from engagement.settings import load_file
from engagement.stores.port import Count
from tracker_web.pages.page import cards, line
from tracker_web.web.app import create_app
from web.chromium import browser
from web.servers import Site, make_site, opener, running, web
from web.web_events import a_hit
from web.web_events import put as keep

GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))"
RUDE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


@pytest.fixture
def client(site: Site) -> Iterator[FlaskClient]:
    app: Flask = create_app(load_file(site.config))
    with app.test_client() as client:
        yield signed_in(client, site)


def signed_in(client: FlaskClient, site: Site) -> FlaskClient:
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {(site.folder / 'web-token').read_text().strip()}"
    return client


def text(client: FlaskClient, path: str = "/", status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.get_data(as_text=True)


def shown(page: str) -> list[str]:
    """The recipients of the rows, top to bottom."""
    return re.findall(r'<td class="who"><a href="[^"]*">(.*?)</a></td>', page)


def test_without_any_event_it_says_what_to_do(client: FlaskClient) -> None:
    page = text(client)
    assert "Nothing has happened yet" in page
    assert "smtpapi send" in page
    assert "smtpapi ship" in page


def test_event_shows_all_its_facts(client: FlaskClient, site: Site) -> None:
    keep(site, a_hit())
    page = text(client)
    for fact in (
        "08:02:02.114",
        ">click<",
        "Ida.Holm@Example.net",
        "autumn-letter",
        "top banner",
        "https://shop.example.org/a?x=1&amp;y=",
        ">human<",
    ):
        assert fact in page


def test_people_and_machines_stand_side_by_side_with_both_totals(client: FlaskClient, site: Site) -> None:
    """Machine traffic is labelled, never deleted; both totals are shown (design rule 8)."""
    keep(
        site,
        a_hit(seconds=1),
        a_hit(seconds=60),
        a_hit(agent=SCANNER, seconds=120),
        a_hit(method="HEAD", seconds=180),
    )
    page = text(client)
    assert re.search(r'<div class="total">3</div>', page)
    assert "<b>2</b> people" in page
    assert "<b>1</b> machines" in page
    assert "4 recorded with probes, repeats and expired links" in page


def test_latest_come_first_and_a_hundred_at_most(client: FlaskClient, site: Site) -> None:
    keep(site, *(a_hit(seconds=20 * number, recipient=f"r{number}@example.net") for number in range(120)))
    rows_shown = shown(text(client))
    assert rows_shown == [f"r{number}@example.net" for number in range(119, 19, -1)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["c@example.net", "B@Example.net", "a@example.net"]),
        ("?campaign=spring", ["B@Example.net"]),
        ("?recipient=b@example.NET", ["B@Example.net"]),
        ("?type=open", ["c@example.net"]),
        ("?type=open&campaign=spring", []),
        ("?campaign=spring%20&recipient=", ["B@Example.net"]),
    ],
)
def test_filters_narrow_the_list(client: FlaskClient, site: Site, query: str, expected: list[str]) -> None:
    keep(
        site,
        a_hit(recipient="a@example.net"),
        a_hit(recipient="B@Example.net", campaign="spring", seconds=20),
        a_hit(Kind.OPEN, recipient="c@example.net", seconds=40),
    )
    page = text(client, "/" + query)
    assert shown(page) == expected
    assert ("No event fits this filter" in page) == (not expected)


def test_expired_hits_are_shown_and_not_counted(client: FlaskClient, site: Site) -> None:
    keep(site, a_hit(expired=True))
    page = text(client)
    assert "link expired, not counted" in page
    assert "<b>0</b> people" in page


def test_text_of_strangers_stays_text(client: FlaskClient, site: Site) -> None:
    hit = a_hit(
        agent=RUDE, recipient=f"{RUDE}@example.net", campaign=RUDE[:60], target=b"https://a.example/'<script>"
    )
    keep(site, hit)
    page = text(client, f"/?campaign={RUDE[:60]}&recipient={RUDE}&type={RUDE}")
    page += text(client)
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("<script") == 2  # the page's own file, on each of the two pages


def test_every_answer_carries_a_strict_policy(client: FlaskClient) -> None:
    for path in ("/", "/events.json", "/static/page.js", "/nowhere"):
        headers = client.get(path, buffered=True).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(client: FlaskClient) -> None:
    page = text(client)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    assert not re.search(r"<script(?![^>]* src=)|<style|style=| on[a-z]+=", page)


def test_unknown_path_and_method_get_plain_words(client: FlaskClient) -> None:
    answer = client.get("/<script>")
    assert (answer.status_code, answer.get_data(as_text=True)) == (404, "Not Found\n")
    answer = client.post("/")
    assert (answer.status_code, answer.get_data(as_text=True)) == (405, "Method Not Allowed\n")
    assert "GET" in answer.headers["Allow"]


def test_store_that_fails_is_said(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.store.write_bytes(b"this is no database, and long enough to be taken for a damaged one" * 30)
    client = signed_in(create_app(load_file(site.config)).test_client(), site)
    page = text(client, status=503)
    assert "cannot be read just now" in page
    assert client.get("/events.json").status_code == 503


def test_events_json_tells_what_came_after_a_mark(client: FlaskClient, site: Site) -> None:
    keep(site, a_hit())
    first = client.get("/events.json").get_json()
    assert first["events"] == []
    keep(site, a_hit(seconds=30, recipient="new@example.net"))
    second = client.get("/events.json", query_string={"after": first["mark"]}).get_json()
    assert [event["rcpt_to"] for event in second["events"]] == ["new@example.net"]
    assert client.get("/events.json", query_string={"after": second["mark"]}).get_json()["events"] == []


@pytest.mark.parametrize("mark", ["nonsense", "-1", "9" * 60, "'; drop table events; --", "\u0661"])
def test_marks_that_are_none_are_no_fault_of_the_server(client: FlaskClient, mark: str) -> None:
    assert client.get("/events.json", query_string={"after": mark}).status_code in {200, 400}


def test_cards_show_clicks_and_opens_even_at_zero() -> None:
    assert [(card.title, card.total) for card in cards({})] == [("Clicks", 0), ("Opens", 0)]
    counted = cards({"amp_open": Count(5, 4, 1, 2, 1)}, only="amp_open")
    assert [(card.title, card.people, card.machines, card.share) for card in counted] == [
        ("AMP opens", 1, 3, 25.0)
    ]


def test_recipients_and_campaigns_lead_to_their_own_events(client: FlaskClient, site: Site) -> None:
    keep(site, a_hit(recipient="ida+a&b@example.net", campaign="spring & more"))
    page = text(client)
    found = re.findall(r'<td class="(?:who|name)"><a href="([^"]*)">', page)
    links = [link.replace("&amp;", "&") for link in found]
    assert links == ["/?recipient=ida%2Ba%26b%40example.net", "/?campaign=spring+%26+more"]
    for link in links:
        assert len(shown(text(client, link))) == 1


def test_message_taken_in_is_shown_with_its_subject() -> None:
    fields = {"type": "injection", "subject": "Our autumn letter"}
    assert line(fields).subject == "Our autumn letter"
    assert line(fields | {"type": "click"}).subject == ""


def test_line_of_an_injection_says_why_nothing_was_tracked() -> None:
    assert line({"type": "injection", "x_outcome": "signed"}).why == "not tracked: signed"


def test_in_a_browser_a_new_event_appears_by_itself_within_two_seconds(site: Site, tmp_path: Path) -> None:
    with running(site, web), browser(tmp_path / "profile") as page:
        page.open(opener(site))
        assert page.value("location.href") == f"http://localhost:{site.web}/"
        assert page.value("document.cookie") == ""  # HttpOnly
        assert "Nothing has happened yet" in page.value("document.body.innerText")
        page.wait_for("document.getElementById('live').textContent === 'live'")
        keep(site, a_hit(agent=RUDE, recipient="ida@example.net"))
        waited = page.wait_for("document.querySelectorAll('tbody tr').length === 1")
        assert waited < 2
        assert "ida@example.net" in page.value("document.querySelector('tbody').innerText")
        keep(site, replace(a_hit(Kind.OPEN, recipient="oda@example.net"), user_agent=GMAIL))
        page.wait_for("document.querySelectorAll('tbody tr').length === 2", 2)
        assert page.value("document.querySelectorAll('tr.new').length") == 1
        assert page.complaints == []
