"""The pages in a real browser: axe-core's judgement, the keyboard alone, strangers' text on each."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from engagement.events.rows import rows
from engagement.links.model import Kind, Link
from engagement.settings import load_file
from tracker_web.web.app import create_app
from web.chromium import Page, browser
from web.everybody import at, bring, hindrances, walk
from web.servers import Site, opener, running, web
from web.shown_site import ADDRESS, MESSAGE, PAGES, PERIOD, WEBHOOK, hit, shown_site, tell
from web.web_cases import NOW
from web.web_events import an_injection

RUDE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"
BLOCKED = re.compile(
    r"analytic|track|stat(s|istic)|beacon|pixel|telemetry|metric|adserv|collect", re.IGNORECASE
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The pages of a hundred events, on their port."""
    made = shown_site(tmp_path_factory.mktemp("shown"))
    with running(made, web):
        yield made


@pytest.fixture(scope="module")
def page(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A tab that signed in."""
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        tab.open(opener(site))
        yield tab


def focused(page: Page, what: str = "textContent.trim()") -> str:
    return str(page.value(f"document.activeElement.{what}"))


def seen_in_both(page: Page, address: str, width: int) -> list[str]:
    """What axe objects to: every rule in light, those of colour in dark, the only thing that changes."""
    page.size(width)
    page.prefer("light")
    page.open(address)
    found = hindrances(page)
    page.prefer("dark")
    return found + hindrances(page, only_colours=True)


def test_axe_finds_nothing_on_any_page(site: Site, tmp_path: Path) -> None:
    found: dict[str, list[str]] = {}
    with browser(tmp_path) as page:
        bring(page)
        for width in (390, 1280):
            found[f"{width} sign-in"] = seen_in_both(page, at(site, "/"), width)
        page.open(opener(site))
        for width in (390, 1280):
            for path in PAGES:
                found[f"{width} {path}"] = seen_in_both(page, at(site, path), width)
    assert {path: each for path, each in found.items() if each} == {}


_UNNAMED = """
[...document.querySelectorAll("table.cards-when-narrow td:not(.tools, .bar, :empty)")].filter(cell => {
  const shown = getComputedStyle(cell, "::before").content.includes(cell.dataset.title);
  const heading = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  return cell.dataset.title !== heading || !(shown || cell.cellIndex === 0);
}).map(cell => cell.outerHTML)
"""


def test_each_cell_of_a_narrow_table_says_what_it_is(page: Page, site: Site) -> None:
    """The heading is out of sight then. The first cell is the card's own heading, or says its name too."""
    page.size(390)
    tables = 0
    for path in PAGES:
        page.open(at(site, path))
        assert page.value(_UNNAMED) == [], path
        tables += page.value("document.querySelectorAll('.cards-when-narrow').length")
        assert page.value("document.documentElement.scrollWidth") <= 390, path
    assert tables >= 10


def test_german_fits_a_narrow_page_and_axe_finds_nothing_in_it(site: Site, tmp_path: Path) -> None:
    """Its words are longer, and its `lang` must be right."""
    found: dict[str, list[str]] = {}
    with browser(tmp_path) as page:
        bring(page)
        page.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": "de"})
        page.open(opener(site))
        page.size(390)
        for path in PAGES:
            page.open(at(site, path))
            assert page.value("document.documentElement.lang") == "de", path
            assert page.value("document.documentElement.scrollWidth") <= 390, path
            if path in (PAGES[0], "/recipients", "/suppression"):
                found[path] = hindrances(page)
    assert {path: each for path, each in found.items() if each} == {}


def test_times_of_webhooks_are_for_people(page: Page, site: Site) -> None:
    page.size(1280)
    for path in ("/webhooks", f"/webhooks/{WEBHOOK}"):
        page.open(at(site, path))
        told = page.value("[...document.querySelectorAll('main time')].map(t => [t.dateTime, t.textContent])")
        assert told, path
        for machine, person in told:
            moment = datetime.fromisoformat(machine)
            assert person == f"{moment:%-d %b %Y, %H:%M:%S}"
            assert int(moment.timestamp()) == NOW
        assert not re.search(r"\dT\d\d:\d\d", page.value("document.querySelector('main').textContent"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_unfolds(page: Page, site: Site, scheme: str) -> None:
    """The chooser of a period, and the numbers under a chart."""
    bring(page)
    page.size(1280)
    page.prefer(scheme)
    page.open(at(site, f"/{PERIOD}"))
    page.value("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert hindrances(page) == []


def test_axe_sees_what_is_wrong(page: Page, site: Site) -> None:
    """The judge itself: a page with a fault is not let through."""
    bring(page)
    page.open(at(site, "/pipeline"))
    page.value("document.querySelector('main').insertAdjacentHTML('beforeend', '<input><img src=x>')")
    assert {"label", "image-alt"} <= {each.partition(":")[0] for each in hindrances(page)}


def test_the_first_stop_of_the_keyboard_skips_to_the_content(page: Page, site: Site) -> None:
    page.open(at(site, f"/campaigns{PERIOD}"))
    page.press("Tab")
    assert focused(page) == "Skip to the content"
    assert page.value("document.activeElement.getBoundingClientRect().left >= 0")
    page.press("Enter")
    page.wait_for("location.hash === '#main'")
    page.press("Tab")
    assert page.value("document.activeElement.closest('main') !== null")


def test_a_period_is_chosen_by_keyboard(page: Page, site: Site) -> None:
    page.open(at(site, f"/{PERIOD}"))
    walk(page, "summary")
    page.press("Enter")
    page.wait_for("document.querySelector('.period details').open")
    walk(page, ".choices a")
    assert focused(page) == "Today"
    page.press("Tab")
    page.press("Enter")
    page.wait_for("location.search.includes('period=yesterday') && document.readyState === 'complete'")
    assert page.value("document.querySelector('h1').textContent") != ""


def test_a_search_and_a_form_are_sent_by_keyboard(page: Page, site: Site) -> None:
    page.open(at(site, "/messages"))
    page.wait_for("document.activeElement.name === 'q'")
    for letter in ADDRESS:
        page.press(letter)
    page.press("Enter")
    page.wait_for("location.search.includes('friend0') && document.readyState === 'complete'")
    assert page.value("document.querySelectorAll('.timeline li[data-id]').length") >= 3
    page.open(at(site, "/suppression"))
    walk(page, "form[method=post] input[name=recipient]")
    for letter in "a@b.example":
        page.press(letter)
    page.press("Enter")
    page.wait_for("location.search.includes('q=a') && document.readyState === 'complete'")
    assert "a@b.example" in page.value("document.querySelector('table').innerText")


@pytest.mark.parametrize("path", [f"/{PERIOD}", "/messages", "/suppression", "/access"])
def test_whatever_has_the_focus_shows_it(page: Page, site: Site, path: str) -> None:
    page.open(at(site, path))
    page.value("document.querySelector('.skip').focus()")
    reached = [".skip"]
    for _ in range(400):
        page.press("Tab")
        if page.value("document.activeElement === document.body"):
            break
        style = page.value(
            "(s => [s.outlineStyle, parseFloat(s.outlineWidth)])(getComputedStyle(document.activeElement))"
        )
        reached.append(focused(page, "outerHTML")[:120])
        assert style[0] != "none", reached[-1]
        assert style[1] >= 2, reached[-1]
    everything = (
        "[...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,summary')]"
        ".filter(e => e.checkVisibility() && e.tabIndex >= 0).length"
    )
    assert len(reached) >= page.value(everything)


def test_times_are_told_in_the_readers_zone_too(page: Page, site: Site) -> None:
    page.call("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    page.complaints.clear()
    page.open(at(site, f"/messages/{MESSAGE}"))
    page.wait_for("document.querySelector('time').title !== ''")
    assert page.value("document.querySelector('time').textContent.trim()") == "08:02:02"
    assert re.search(r"\b0?1:32:02", page.value("document.querySelector('time').title"))
    assert not page.complaints


def test_text_of_strangers_does_nothing_in_a_browser(tmp_path: Path) -> None:
    """User agent, subject, sender, link's name and target, campaign, recipient, what a server answered."""
    site = shown_site(tmp_path, mails=1)
    mail = an_injection()._replace(
        message_id=b"\xee" * 16, campaign=RUDE[:60], subject=RUDE, friendly_from=RUDE, sender=RUDE,
        recipient=f"{RUDE}@example.net", queue_id=RUDE, message_id_header=f"<{RUDE}>", tags=(RUDE,),
        node_name=RUDE, at_ms=(NOW - 3600) * 1000,
    )  # fmt: skip
    link = Link(b"https://a.example/'\"><script>alert(3)</script>", RUDE[:63], False, 0, "html")
    tell(site, [
        *rows(mail),
        *rows(hit(mail, Kind.CLICK, 60, RUDE, link)),
        *rows(hit(mail, Kind.OPEN, 90, RUDE)),
    ])  # fmt: skip
    shown = 0
    with running(site, web), browser(tmp_path / "profile") as page:
        page.open(opener(site))
        page.open(at(site, f"/campaigns{PERIOD}"))
        found = page.value("[...document.querySelectorAll('td a')].map(a => a.getAttribute('href'))")
        query = {"q": RUDE, "address": f"{RUDE}@example.net", "campaign": RUDE[:60]}
        asked = [f"{path}?{name}={page.value(f'encodeURIComponent({text!r})')}" for path, name, text in (
            ("/messages", "q", query["q"]), ("/messages", "campaign", query["campaign"]),
            ("/recipients", "address", query["address"]), ("/suppression", "q", query["q"]),
            ("/recipients/erase", "address", query["address"]),
        )]  # fmt: skip
        there = [path for path in PAGES if not path.startswith("/map/")]  # no copy of a mail is kept here
        for path in (*there, *found, *asked, f"/messages/{'ee' * 16}"):
            page.open(at(site, path))
            assert (
                page.value("document.querySelectorAll('script:not([src]), main img, [onerror]').length") == 0
            )
            shown += "<script>alert" in page.value("document.body.textContent")
            assert "49" not in page.value("document.title"), path
        assert page.complaints == []
    assert shown >= 8  # it was there to be run


def test_no_address_of_ours_looks_like_what_blockers_block(site: Site) -> None:
    """EasyPrivacy blocks by generic names in addresses: a page must not lose its style or script by one."""
    app = create_app(load_file(site.config))
    own = [rule.rule for rule in app.url_map.iter_rules() if not rule.rule.startswith("/api/")]
    own += [path.name for path in Path(app.static_folder or "").rglob("*")]
    assert "page.css" in own
    assert [address for address in own if BLOCKED.search(address)] == []
