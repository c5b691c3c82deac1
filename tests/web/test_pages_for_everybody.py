"""The pages in a real browser: axe-core's judgement, the keyboard alone, strangers' text on each."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from engagement.events.rows import rows
from engagement.links.model import Kind, Link
from engagement.settings import load_file
from tracker_web.web.app import create_app
from web.chromium import at_path, focus, fresh_page, go, signed_in, width
from web.everybody import STOPS, at, bring, hindrances, press, tab_to, write
from web.servers import Site, opener, running, web
from web.shown_site import ADDRESS, MESSAGE, PAGES, PERIOD, WEBHOOK, add_rows, hit, shown_site
from web.web_cases import NOW
from web.web_events import an_injection

RUDE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"
BLOCKED = re.compile(
    r"analytic|track|stat(s|istic)|beacon|pixel|telemetry|metric|adserv|collect", re.IGNORECASE
)


WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The pages of a hundred events, on their port."""
    made = shown_site(tmp_path_factory.mktemp("shown"))
    with running(made, web):
        yield made


@pytest.fixture(scope="module")
def session(site: Site, chromium: Browser) -> StorageState:
    """What a browser keeps that signed in."""
    return signed_in(chromium, opener(site))


@pytest.fixture
def page(site: Site, chromium: Browser, session: StorageState) -> Iterator[Page]:
    with fresh_page(chromium, storage_state=session, base_url=at(site, "")) as fresh:
        yield fresh


def seen_in_both(page: Page, address: str, wide: int) -> list[str]:
    """What axe objects to: every rule in light, those of colour in dark, the only thing that changes."""
    page.set_viewport_size({"width": wide, "height": 900})
    page.emulate_media(color_scheme="light")
    go(page, address)
    found = hindrances(page)
    page.emulate_media(color_scheme="dark")
    return found + hindrances(page, only_colours=True)


def test_axe_finds_nothing_on_the_page_to_sign_in(site: Site, chromium: Browser) -> None:
    with fresh_page(chromium, complains=True) as page:  # of the 401 that it comes with
        bring(page)
        assert [each for wide in WIDTHS for each in seen_in_both(page, at(site, "/"), wide)] == []


_UNNAMED = """
[...document.querySelectorAll("table.cards-when-narrow td:not(.tools, .bar, :empty)")].filter(cell => {
  const shown = getComputedStyle(cell, "::before").content.includes(cell.dataset.title);
  const heading = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  return cell.dataset.title !== heading || !(shown || cell.cellIndex === 0);
}).map(cell => cell.outerHTML)
"""


_OUTSIDE = """
[...document.querySelectorAll("td")].filter(cell => {
  const own = cell.getBoundingClientRect(), row = cell.parentElement.getBoundingClientRect();
  return own.height > 0 && (own.top < row.top - 1 || own.bottom > row.bottom + 1);
}).map(cell => cell.outerHTML)
"""
# Each element that gets the focus, and how its outline is drawn: kept by the page itself, since asking after
# each key would take as long again as all the keys.
_WATCH = """() => {
  window.reached = [];
  document.addEventListener("focusin", event => {
    const drawn = getComputedStyle(event.target), name = event.target.outerHTML.slice(0, 120);
    window.reached.push([name, drawn.outlineStyle, parseFloat(drawn.outlineWidth)]);
  });
}"""

# The focus has left the page, or, as a browser without a window has nothing else, has come round again.
_THROUGH = """
document.activeElement === document.body
  || window.reached.slice(1).some(each => each[0] === window.reached[0][0])
"""


# The keys take longest: one address of those that differ in their query alone.
_ONE_OF_EACH = {path.partition("?")[0]: path for path in reversed(PAGES)}.values()


@pytest.fixture(scope="module")
def shown(site: Site, chromium: Browser, session: StorageState) -> Iterator[Page]:
    """One page for all that is shown and changes nothing: a context for each would take as long again."""
    with fresh_page(chromium, storage_state=session, base_url=at(site, "")) as fresh:
        bring(fresh)
        yield fresh


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_in_each_width_and_light_and_the_keyboard_comes_through(shown: Page, path: str) -> None:
    """Without a hindrance or a word on its console; in cards, cells say their headings, out of sight then."""
    for wide in WIDTHS:
        assert seen_in_both(shown, path, wide) == [], wide
        assert width(shown) <= wide
        assert shown.evaluate(_OUTSIDE) == []
        if wide < 600:
            assert shown.evaluate(_UNNAMED) == []
    if path not in _ONE_OF_EACH:
        return
    shown.evaluate(_WATCH)
    stops = shown.evaluate(f"{STOPS}.length")
    shown.locator(".skip").focus()
    for _ in range(stops - 1):
        shown.keyboard.press("Tab")
    for _ in range(50):  # what a frame has, and none that is hidden
        shown.keyboard.press("Tab")
        if shown.evaluate(_THROUGH):
            break
    else:
        raise AssertionError("the keyboard never leaves this page")
    reached = shown.evaluate("window.reached")
    assert [each for each in reached if each[1] == "none" or each[2] < 2] == []
    assert len(reached) >= stops


def test_german_fits_a_narrow_page_and_axe_finds_nothing_in_it(
    site: Site, chromium: Browser, session: StorageState
) -> None:
    """Its words are longer, and its `lang` must be right."""
    found: dict[str, list[str]] = {}
    narrow = {"width": 390, "height": 900}
    with fresh_page(
        chromium, locale="de", viewport=narrow, storage_state=session, base_url=at(site, "")
    ) as page:
        bring(page)
        for path in PAGES:
            go(page, path)
            expect(page.locator("html"), path).to_have_attribute("lang", "de")
            assert width(page) <= 390, path
            if path in (PAGES[0], "/recipients", "/suppression"):
                found[path] = hindrances(page)
    assert {path: each for path, each in found.items() if each} == {}


def test_times_of_webhooks_are_for_people(page: Page) -> None:
    for path in ("/webhooks", f"/webhooks/{WEBHOOK}"):
        go(page, path)
        main = page.get_by_role("main")
        times = main.locator("time").evaluate_all("all => all.map(t => [t.dateTime, t.textContent])")
        assert times, path
        for machine, person in times:
            moment = datetime.fromisoformat(machine)
            assert person == f"{moment:%-d %b %Y, %H:%M:%S}"
            assert int(moment.timestamp()) == NOW
        expect(main).not_to_contain_text(re.compile(r"\dT\d\d:\d\d"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_unfolds(page: Page, scheme: Literal["light", "dark"]) -> None:
    """The chooser of a period, and the numbers under a chart."""
    bring(page)
    page.emulate_media(color_scheme=scheme)
    go(page, f"/{PERIOD}")
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
    assert hindrances(page) == []


def test_axe_sees_what_is_wrong(site: Site, chromium: Browser, session: StorageState) -> None:
    """The judge itself: a page with a fault is not let through."""
    with fresh_page(chromium, complains=True, storage_state=session) as page:  # there is no picture x
        bring(page)
        go(page, at(site, "/pipeline"))
        page.locator("main").evaluate("m => m.insertAdjacentHTML('beforeend', '<input><img src=x>')")
        assert {"label", "image-alt"} <= {each.partition(":")[0] for each in hindrances(page)}


def test_the_first_stop_of_the_keyboard_skips_to_the_content(page: Page) -> None:
    go(page, f"/campaigns{PERIOD}")
    page.keyboard.press("Tab")
    expect(focus(page)).to_have_text("Skip to the content")
    expect(focus(page)).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").locator(focus(page))).to_have_count(1)


def test_a_period_is_chosen_by_keyboard(page: Page) -> None:
    go(page, f"/{PERIOD}")
    press(page.locator(".period summary"))
    tab_to(page.get_by_role("link", name="Today"))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    at_path(page, "/", query="period=yesterday")
    expect(page.get_by_role("heading", level=1)).not_to_be_empty()


def test_a_search_and_a_form_are_sent_by_keyboard(page: Page) -> None:
    go(page, "/messages")
    expect(page.get_by_label("Recipient, Message-ID")).to_be_focused()
    page.keyboard.type(ADDRESS)
    page.keyboard.press("Enter")
    at_path(page, "/messages", query="friend0")
    assert page.locator(".timeline li[data-id]").count() >= 3
    go(page, "/suppression")
    write(page.get_by_label("Address", exact=True), "a@b.example")
    page.keyboard.press("Enter")
    at_path(page, "/suppression", query="q=a")
    expect(page.get_by_role("table")).to_contain_text("a@b.example")


def test_times_are_those_of_the_readers_zone_with_utc_under_the_pointer(
    site: Site, chromium: Browser, session: StorageState
) -> None:
    with fresh_page(chromium, timezone_id="Asia/Kolkata", storage_state=session) as page:
        go(page, at(site, f"/messages/{MESSAGE}"))
        first = page.locator("time").first
        expect(first).to_have_attribute("title", re.compile(r"\b08:02:02 UTC"))
        expect(first).to_have_text("13:32:02")
        expect(page.locator("#zone")).to_contain_text("Asia/")


def test_text_of_strangers_does_nothing_in_a_browser(tmp_path: Path, chromium: Browser) -> None:
    """User agent, subject, sender, link's name and target, campaign, recipient, what a server answered."""
    site = shown_site(tmp_path, mails=1)
    mail = an_injection()._replace(
        message_id=b"\xee" * 16, campaign=RUDE[:60], subject=RUDE, friendly_from=RUDE, sender=RUDE,
        recipient=f"{RUDE}@example.net", queue_id=RUDE, message_id_header=f"<{RUDE}>", tags=(RUDE,),
        node_name=RUDE, at_ms=(NOW - 3600) * 1000,
    )  # fmt: skip
    link = Link(b"https://a.example/'\"><script>alert(3)</script>", RUDE[:63], False, 0, "html")
    add_rows(site, [
        *rows(mail),
        *rows(hit(mail, Kind.CLICK, 60, RUDE, link)),
        *rows(hit(mail, Kind.OPEN, 90, RUDE)),
    ])  # fmt: skip
    shown = 0
    with running(site, web), fresh_page(chromium, base_url=at(site, "")) as page:
        go(page, opener(site))
        go(page, f"/campaigns{PERIOD}")
        found = page.locator("td a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        address = f"{RUDE}@example.net"
        pages = [f"{path}?{urlencode({name: text})}" for path, name, text in (
            ("/messages", "q", RUDE), ("/messages", "campaign", RUDE[:60]), ("/suppression", "q", RUDE),
            ("/recipients", "address", address), ("/recipients/erase", "address", address),
        )]  # fmt: skip
        there = [path for path in PAGES if not path.startswith("/map/")]  # no copy of a mail is kept here
        for path in (*there, *found, *pages, f"/messages/{'ee' * 16}"):
            go(page, path)
            expect(page.locator("script:not([src]), main img, [onerror]")).to_have_count(0)
            shown += "<script>alert" in (page.locator("body").text_content() or "")
            assert "49" not in page.title(), path
    assert shown >= 8  # it was there to be run


def test_no_address_of_ours_looks_like_what_blockers_block(site: Site) -> None:
    """EasyPrivacy blocks by generic names in addresses: a page must not lose its style or script by one."""
    app = create_app(load_file(site.config))
    own = [rule.rule for rule in app.url_map.iter_rules() if not rule.rule.startswith("/api/")]
    own += [path.name for path in Path(app.static_folder or "").rglob("*")]
    assert "page.css" in own
    assert [address for address in own if BLOCKED.search(address)] == []
