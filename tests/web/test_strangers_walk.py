"""A stranger's walk through the pages of `make run`: what one finds by looking alone, without the docs.

Each step follows a link or fills in a form that the page before shows, in a real browser.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from mta.make_run import MakeRun
from mta.mta_site import free_port, until
from web.chromium import fresh_page, go
from webhooks.sites import Endpoint, endpoint

pytestmark = pytest.mark.mta

WHO = "friend@example.test"


def follow(page: Page, text: str) -> None:
    """Follow the first link with these words, to the page it leads to."""
    link = page.get_by_role("link", name=text, exact=True).first
    address = link.evaluate("link => link.href")
    link.click()
    page.wait_for_url(address)


def main(page: Page) -> Locator:
    return page.get_by_role("main")


def shows(page: Page, text: str) -> None:
    """Look at the page again until it shows something."""

    def looked() -> bool:
        if text in main(page).inner_text():
            return True
        go(page, page.url)
        return False

    until(looked, 30, text)


def why_it_was_not_clicked(page: Page) -> None:
    follow(page, "Messages")
    page.get_by_label("Recipient, Message-ID").fill(WHO)
    page.get_by_role("button", name="Search").click()
    expect(main(page)).to_contain_text(WHO)
    follow(page, "delivered")
    expect(main(page)).to_contain_text("tracked")
    expect(main(page)).to_contain_text("delivered")
    expect(main(page)).not_to_contain_text("clicked")
    expect(main(page)).not_to_contain_text("fetched")


def the_campaign_is_exported(page: Page) -> None:
    follow(page, "Campaigns")
    follow(page, "lamp-is-lit")
    expect(main(page)).to_contain_text("The lamp burns again")
    follow(page, "Campaigns")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export campaigns as CSV").click()
    found = download.value.path().read_text("utf-8")
    assert found.startswith("campaign,count_injected,")
    assert "\nlamp-is-lit,1,1," in found.replace("\r", "")


def the_recipient_is_suppressed(page: Page) -> None:
    follow(page, "Recipients")
    page.get_by_label("Address").fill(WHO)
    page.get_by_role("button", name="Show").click()
    follow(page, "Suppress…")
    expect(main(page)).to_contain_text("No entry fits")
    page.get_by_label("Why").fill("asked by phone")
    page.get_by_role("button", name="Stop").click()
    expect(main(page)).to_contain_text("Manually Added")
    expect(main(page)).to_contain_text("asked by phone")


def a_webhook_fails_and_is_replayed(page: Page, hook: Endpoint, run: MakeRun) -> None:
    follow(page, "Webhooks")
    page.get_by_label("Name").fill("shop")
    page.get_by_label("Target").fill(hook.url)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("link", name="shop", exact=True)).to_be_visible()
    hook.answer = lambda _path, _body: (500, {}, b"out of order")
    follow(page, "Overview")  # events go on meanwhile: this mail's
    run.send(WHO)
    hook.wait(lambda came: bool(came))
    follow(page, "Webhooks")
    follow(page, "shop")
    shows(page, "failing since")
    expect(main(page)).to_contain_text("500")
    hook.answer = lambda _path, _body: (200, {}, b"OK")
    page.get_by_role("checkbox", name="again").first.check()
    page.get_by_role("button", name="Send the ticked ones again").click()
    expect(main(page)).to_contain_text("will be sent again")
    came = hook.wait(lambda came: came[-1].status == 200)
    assert came[-1].batch == came[0].batch
    assert came[-1].body == came[0].body


def test_a_stranger_finds_the_way(tmp_path: Path, chromium: Browser) -> None:
    run = MakeRun(tmp_path / "run", free_port(), free_port())
    try:
        run.until("Events as they come", 60)
        run.until(f"delivery          {WHO}", 30)
        with endpoint() as hook, fresh_page(chromium) as page:
            go(page, (tmp_path / "run" / "web-url").read_text().strip())
            shows(page, "1 mail taken in")  # figures follow the events within seconds
            why_it_was_not_clicked(page)
            the_campaign_is_exported(page)
            the_recipient_is_suppressed(page)
            a_webhook_fails_and_is_replayed(page, hook, run)
    finally:
        run.end()
