"""The page to unsubscribe in a real browser, with scripts off: its buttons work under its own policy."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from engagement.events.model import UNDO
from engagement.links.model import Kind, Link
from engagement.links.token import copy_sealer
from web.chromium import fresh_page, width
from web.everybody import bring, hindrances, press
from web.servers import Site, make_site, running
from web.web_cases import KEY, identity

NEWS = Link(b"news.example.com", "Weekly <News>")
PHONE = ViewportSize(width=390, height=800)
TEXTS = {
    "en": ("Unsubscribe from all mail of Example Ltd.", "Stay subscribed", "You stay subscribed"),
    "de": ("Von allen E-Mails von Example Ltd. abmelden", "Angemeldet bleiben", "Sie bleiben angemeldet"),
}


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_reader_leaves_all_lists_and_takes_it_back(
    tmp_path: Path, chromium: Browser, language: str
) -> None:
    site: Site = make_site(tmp_path, tracker='sender = "Example Ltd."')
    token = copy_sealer(KEY, identity()).seal(Kind.LIST_UNSUBSCRIBE, NEWS).decode("ascii")
    leave, stay, confirmation = TEXTS[language]
    with (
        running(site),
        fresh_page(
            chromium, locale=language, viewport=PHONE, is_mobile=True, java_script_enabled=False
        ) as page,
    ):
        page.goto(f"http://127.0.0.1:{site.port}/f/a/{token}")
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("body")).to_contain_text("Weekly <News> (news.example.com)")
        assert width(page) <= 390
        expect(page.locator("body")).not_to_have_css("max-width", "none")  # its style is let in
        assert site.hits() == []
        page.get_by_role("button", name=leave).click()
        page.get_by_role("button", name=stay).click()
        expect(page.get_by_role("heading", name=confirmation)).to_be_visible()
        expect(page.get_by_role("button")).to_have_count(0)
    assert [hit.method for hit in site.hits()] == ["POST", UNDO]


def test_a_reader_asks_for_erasure_by_keyboard_on_pages_without_a_hindrance(
    tmp_path: Path, chromium: Browser
) -> None:
    site: Site = make_site(tmp_path, tracker='sender = "Example Ltd."')
    token = copy_sealer(KEY, identity()).seal(Kind.LIST_UNSUBSCRIBE, NEWS).decode("ascii")
    with running(site), fresh_page(chromium, locale="de", viewport=PHONE) as page:
        bring(page)
        page.goto(f"http://127.0.0.1:{site.port}/f/a/{token}")
        found = hindrances(page)
        press(page.locator("a[href='?about']"))
        page.wait_for_url("**/*?about")
        assert width(page) <= 390
        found += hindrances(page)
        page.emulate_media(color_scheme="dark")
        found += hindrances(page, only_colours=True)
        press(page.locator("form[action='?erase'] button"))
        page.wait_for_url("**/*?erase")
        expect(page.locator("body")).to_contain_text("Ihr Wunsch")
        found += hindrances(page)
        assert found == []
    assert [hit.method for hit in site.hits()] == ["ERASE"]
