"""The pages: what they show, that strangers' text stays text, exports, and what a browser makes of them."""

import csv
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from msgspec.structs import replace
from playwright.sync_api import Browser, expect

from engagement.events.model import MessageEvent
from engagement.events.rows import rows
from engagement.links.model import Kind
from engagement.settings import load_file
from engagement.stores import open_store
from tracker_web.api.events import paging
from tracker_web.web.app import create_app
from web.chromium import fresh_page, go, width
from web.servers import Site, make_site, opener, running, web
from web.web_cases import NOW
from web.web_events import IDS, RECIPIENT, a_hit, an_injection, put

GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))"
RUDE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
DAY = time.strftime("%Y-%m-%d", time.gmtime(NOW))
THEN = f"?from={DAY}&to={DAY}"
LONG = b"https://example.org/" + b"x" * 900
PAGES = ("/", "/campaigns", "/messages", "/recipients", "/machines", "/live")


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
    for _ in range(60):  # on a busy machine a page may take longer than the server waits for it
        if answer.status_code != 503 or b"takes its time" not in answer.data:
            break
        time.sleep(0.2)
        answer = client.get(path)
    assert answer.status_code == status, answer.get_data(as_text=True)[:500]
    return answer.get_data(as_text=True)


def lines(page: str) -> list[str]:
    """What happened, line by line, as text without its tags."""
    found = re.findall(r'<li class="[^"]*" data-id=.*?</li>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in found]


def exported(client: FlaskClient, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(client, path))))


@pytest.mark.parametrize("path", PAGES)
def test_without_any_event_each_page_says_what_to_do(client: FlaskClient, path: str) -> None:
    page = text(client, path)
    assert re.search(r"Nothing has happened yet|No mail was taken in|No request came in|Whose mail\?", page)


def test_the_overview_has_the_three_sides_beside_each_other(client: FlaskClient, site: Site) -> None:
    """Machine traffic is labelled, never deleted (design rule 8)."""
    put(
        site,
        an_injection(),
        a_hit(Kind.OPEN),
        a_hit(Kind.OPEN, agent=SCANNER, seconds=120),
        a_hit(Kind.OPEN, agent="", seconds=180),
    )
    page = text(client, f"/{THEN}&count=total")
    assert "1 mail taken in" in page
    sides = re.search(r"Opens by people.*?</li>", page, re.DOTALL)
    assert sides is not None
    for side in ("1 people", "1 unsure", "1 machines"):
        assert f">{side}<" in sides[0]


def test_each_figure_has_its_definition_one_hover_away(client: FlaskClient, site: Site) -> None:
    put(site, an_injection())
    page = text(client, f"/{THEN}")
    assert "(x_count_people_unique_rendered)" in page
    assert "messages opened, by people" in page


def test_nothing_tracked_is_not_nought_per_cent(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(outcome="signed")._replace(opens=False, clicks=False))
    rows = exported(client, f"/campaigns{THEN}&export=csv")
    assert [row["x_people_open_rate"] for row in rows] == [""]
    page = text(client, f"/campaigns{THEN}")
    assert "\N{EN DASH}" in page
    assert "0\u202f%" not in page


def test_a_period_is_compared_with_the_one_before(client: FlaskClient, site: Site) -> None:
    day = 86_400
    put(site, a_hit(Kind.OPEN, seconds=-day), a_hit(Kind.OPEN), a_hit(Kind.OPEN, seconds=60), an_injection())
    page = text(client, f"/{THEN}&compare=previous&count=total")
    assert "▲\u202f100\u202f%" in page
    assert "opens before" in page


def test_a_chart_has_its_numbers_as_words_and_as_a_table(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(), a_hit(Kind.OPEN), a_hit(Kind.CLICK, seconds=60))
    page = text(client, f"/{THEN}")
    assert re.search(r"<desc[^>]*>opens: 1 in all", page)
    rows = exported(client, f"/{THEN}&export=csv&table=series")
    assert len(rows) == 24
    assert sum(int(row["opens"]) for row in rows) == 1


def test_a_campaign_shows_its_mail_links_and_people(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(), a_hit(Kind.OPEN), a_hit(seconds=60))
    page = text(client, "/campaigns/autumn-letter")
    for fact in ("Our autumn letter", "news@example.org", "top banner", "its whole life"):
        assert fact in page
    assert '/reached/autumn-letter?state=clicked-people"' in page
    assert text(client, "/campaigns/no-such", status=404)


@pytest.mark.parametrize(
    "name", ["a/b", "/a//b/", "a/../b", "..", ".", "", "~x", "a b?c#d", "ümlaut", "%2F", RUDE]
)
def test_a_campaign_of_any_name_has_a_page(client: FlaskClient, site: Site, name: str) -> None:
    put(site, a_hit(campaign=name))
    found = re.findall(r'href="(/campaigns/[^"]*)"', text(client, f"/campaigns{THEN}"))
    assert len(found) == 1
    assert "top banner" in text(client, found[0].replace("&amp;", "&"))


def test_a_message_tells_what_happened_in_order(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(), a_hit(Kind.OPEN, agent=GMAIL), a_hit(seconds=256))
    shown = lines(text(client, f"/messages/{bytes(16).hex()}"))
    assert len(shown) == 3
    assert shown[0].endswith("taken in from b-77@bounce.example.org; tracked, 0 links")
    assert "fetched the pixel at the end an image proxy, set off by a person image-proxy" in shown[1]
    assert "clicked “top banner”" in shown[2]
    assert "a person browser https://shop.example.org/a?x=1&amp;y=" in shown[2]


def test_why_a_message_was_not_tracked_is_said_in_words(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(outcome="dkim-signed"))
    page = text(client, f"/messages/{bytes(16).hex()}")
    assert "not tracked: carries a DKIM signature, which a change would break" in page
    assert text(client, f"/messages/{bytes([1] * 16).hex()}", status=404)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 3),
        ("?campaign=spring", 1),
        ("?q=b@example.NET", 1),
        ("?type=open", 1),
        ("?type=open&campaign=spring", 0),
        ("?campaign=spring%20&q=", 1),
        (f"?q={bytes([20] * 16).hex()}", 1),
        ("?q=%3Cnobody@example.org%3E", 0),
        ("?q=4bQ9", 0),
        ("?domain=EXAMPLE.net", 3),
        ("?class=human", 3),
        ("?cursor=nonsense&link=x&type=nothing", 3),
    ],
)
def test_a_search_narrows_the_list(client: FlaskClient, site: Site, query: str, expected: int) -> None:
    put(
        site,
        a_hit(recipient="a@example.net"),
        a_hit(recipient="B@Example.net", campaign="spring", seconds=20),
        a_hit(Kind.OPEN, recipient="c@example.net", seconds=40),
    )
    page = text(client, f"/messages{query}")
    assert len(lines(page)) == expected
    assert ("No event fits" in page) == (not expected)


def test_words_of_a_subject_are_looked_for_in_so_many_events_a_page(
    client: FlaskClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = an_injection()._replace(subject="The lamp burns again")
    others = [
        searched._replace(message_id=bytes([n] * 16), at_ms=searched.at_ms + n * 1000, subject="News")
        for n in range(1, 70)
    ]
    put(site, searched, *others)
    assert len(lines(text(client, "/messages?subject=LAMP%20burns"))) == 1
    assert "No event fits" in text(client, "/messages?subject=lamps")
    assert len(lines(text(client, "/messages?subject=lamp&type=injection&q=%3Cnobody@x%3E"))) == 0
    monkeypatch.setattr(paging, "READ", 50)
    page = text(client, "/messages?subject=lamp")
    assert "events were looked through for the subject" in page
    (following,) = re.findall(r'href="([^"]+)" rel="next"', page)
    assert len(lines(text(client, following.replace("&amp;", "&")))) == 1


def test_older_events_are_a_page_away(client: FlaskClient, site: Site) -> None:
    put(site, *(a_hit(seconds=20 * number, recipient=f"r{number}@example.net") for number in range(120)))
    seen: list[str] = []
    path = "/messages"
    while path:
        page = text(client, path)
        seen += re.findall(r"\br\d+@example\.net", " ".join(lines(page)))
        following = re.search(r'<a href="([^"]*)" rel="next"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert seen == [f"r{number}@example.net" for number in range(119, -1, -1)]


def test_what_does_not_count_says_so(client: FlaskClient, site: Site) -> None:
    put(site, a_hit(expired=True), a_hit(method="HEAD", seconds=60))
    shown = " ".join(lines(text(client, f"/recipients?address={RECIPIENT}")))
    assert "not counted: the link had expired" in shown
    assert "not counted: a probe" in shown


@pytest.mark.parametrize("path", PAGES)
def test_text_of_strangers_stays_text(client: FlaskClient, site: Site, path: str) -> None:
    put(
        site,
        a_hit(
            agent=RUDE,
            recipient=f"{RUDE}@example.net",
            campaign=RUDE[:60],
            target=b"https://a.example/'<script>",
        ),
        an_injection(seconds=1)._replace(subject=RUDE, friendly_from=RUDE, campaign=RUDE[:60]),
    )
    for query in (THEN, f"{THEN}&q={RUDE}&campaign={RUDE[:60]}&address={RUDE}&type={RUDE}&table={RUDE}"):
        page = text(client, path + query)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert page.count("<script") == 1 + {"/live": 1, "/": 2}.get(path, 0)


def test_csv_holds_no_formula(client: FlaskClient, site: Site) -> None:
    put(site, a_hit(campaign="=1+1", recipient="@cmd@example.net"))
    rows = exported(client, "/messages?export=csv")
    assert (rows[0]["campaign_id"], rows[0]["raw_rcpt_to"]) == ("'=1+1", "'@cmd@example.net")


def test_exported_events_say_where_a_class_is_no_more_than_probable(client: FlaskClient, site: Site) -> None:
    put(site, a_hit(agent="curl/8.5.0"), a_hit(agent="okhttp/4.12", seconds=60))
    for answer in (exported(client, "/messages?export=csv"), client.get("/messages?export=json").get_json()):
        found = {row["x_client_reason"]: (row["x_client_class"], row["x_client_certain"]) for row in answer}
        assert found == {"library": ("scanner", ""), "library-of-apps": ("scanner", "false")}


def test_json_and_csv_have_what_the_page_shows(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(), a_hit(seconds=60))
    answer = client.get(f"/campaigns{THEN}&export=json&table=campaigns")
    assert answer.mimetype == "application/json"
    assert answer.get_json()[0]["campaign"] == "autumn-letter"
    assert exported(client, f"/campaigns{THEN}&export=csv")[0]["x_count_people_unique_clicked"] == "1"
    assert text(client, f"/campaigns{THEN}&export=csv&table=none", status=404)


@pytest.mark.parametrize("path", [*PAGES, "/live/new", "/static/live.js", "/nowhere"])
def test_every_answer_carries_a_strict_policy(client: FlaskClient, path: str) -> None:
    headers = client.get(path, buffered=True).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", [*PAGES, "/campaigns/autumn-letter", f"/messages/{bytes(16).hex()}"])
def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(
    client: FlaskClient, site: Site, path: str
) -> None:
    put(site, an_injection(), a_hit())
    page = text(client, path)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)
    assert not re.search(r"<script(?![^>]* src=)|<style|style=| on[a-z]+=", page)


def test_unknown_path_and_method_get_plain_words(client: FlaskClient) -> None:
    answer = client.get("/<script>")
    assert (answer.status_code, answer.get_data(as_text=True)) == (404, "Not Found\n")
    answer = client.post("/")
    assert (answer.status_code, answer.get_data(as_text=True)) == (405, "Method Not Allowed\n")
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/campaigns", "/messages", "/machines", "/live"])
def test_a_store_that_fails_is_said(tmp_path: Path, path: str) -> None:
    site = make_site(tmp_path)
    site.store.write_bytes(b"this is no database, and long enough to be taken for a damaged one" * 30)
    client = signed_in(create_app(load_file(site.config)).test_client(), site)
    assert "cannot be read just now" in text(client, path, status=503)
    assert client.get("/live/new").status_code == 503


@pytest.mark.parametrize(
    "query",
    [
        "from=x&to=y",
        "from=9999-12-31",
        "from=0001-01-01&to=1969-12-31",
        "to=1970-01-01",
        "period=x&compare=x",
    ],
)
def test_dates_that_are_none_are_no_fault_of_the_server(client: FlaskClient, query: str) -> None:
    assert client.get(f"/?{query}").status_code == 200
    assert client.get(f"/campaigns?{query}&compare=previous").status_code == 200


@pytest.mark.parametrize("mark", ["nonsense", "-1", "9" * 60, "'; drop table events; --", "\u0661"])
def test_marks_that_are_none_are_no_fault_of_the_server(client: FlaskClient, mark: str) -> None:
    assert client.get("/live/new", query_string={"after": mark}).status_code in {200, 400}


def test_in_a_browser_a_new_event_appears_by_itself_and_moves_nothing(site: Site, chromium: Browser) -> None:
    with running(site, web), fresh_page(chromium) as page:
        go(page, opener(site))
        expect(page).to_have_url(f"http://localhost:{site.web}/")
        assert page.evaluate("document.cookie") == ""  # HttpOnly
        go(page, f"http://localhost:{site.web}/live")
        expect(page.locator("body")).to_contain_text("Nothing has happened yet")
        expect(page.locator("#state")).to_have_text("live")
        lines = page.locator("#events li")
        put(site, a_hit(agent=RUDE, recipient="ida@example.net"))
        expect(lines).to_have_count(1, timeout=5000)
        lines.evaluate("line => { line.marked = true }")
        put(site, replace(a_hit(Kind.OPEN, recipient="oda@example.net"), user_agent=GMAIL))
        expect(lines).to_have_count(2)
        expect(lines.nth(1)).to_have_js_property("marked", value=True)
        expect(lines.first).to_contain_text("oda@example.net")
        page.get_by_role("button", name="Pause").click()
        put(site, a_hit(recipient="uma@example.net", seconds=300))
        fresh = page.get_by_role("button", name="new")
        expect(fresh).to_be_visible()
        expect(lines).to_have_count(2)
        fresh.click()
        expect(lines).to_have_count(3)


@pytest.mark.parametrize("wide", [390, 1280])
def test_in_a_browser_no_page_is_wider_than_its_window(site: Site, chromium: Browser, wide: int) -> None:
    put(site, an_injection(), a_hit(Kind.OPEN), a_hit(seconds=60, target=LONG))
    window = {"width": wide, "height": 900}
    with running(site, web), fresh_page(chromium, viewport=window) as page:
        go(page, opener(site))
        for path in (*PAGES, "/campaigns/autumn-letter", f"/messages/{bytes(16).hex()}"):
            go(page, f"http://localhost:{site.web}{path}{THEN if '/live' not in path else ''}")
            assert width(page) <= wide, path


def test_the_overview_says_so_while_events_are_newer_than_the_figures(
    client: FlaskClient, site: Site
) -> None:
    """The figures follow by a moment: between the two the first mail is in the list and in no figure."""
    notice = "The newest events are not in the figures yet."
    now_ms = int(time.time() * 1000)
    mail = an_injection()._replace(at_ms=now_ms, id=IDS.next(now_ms))
    store = open_store(load_file(site.config).store, writing=True)
    try:
        ago = now_ms // 1000 - NOW
        taken = MessageEvent(IDS.next(now_ms), now_ms, "delivery", "mx", mail.queue_id, 7, queue_time=9)
        hits = (a_hit(seconds=ago), a_hit(Kind.OPEN, seconds=ago), a_hit(seconds=ago, method="HEAD"))
        for came in (rows(mail), rows(taken, injection=mail), *map(rows, hits)):
            store.add(list(came))
            assert notice in text(client)
            assert notice not in text(client, f"/{THEN}")  # an earlier period misses nothing
            store.roll_up()
            assert notice not in text(client)
        assert "1 mail taken in" in text(client)
    finally:
        store.close()


def test_old_events_are_never_said_to_be_newer_than_the_figures(client: FlaskClient, site: Site) -> None:
    put(site, an_injection(), a_hit(seconds=5))
    assert "not in the figures yet" not in text(client, f"/{THEN}")
