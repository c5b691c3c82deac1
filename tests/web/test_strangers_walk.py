"""A stranger's walk through the pages of `make run`: what one finds by looking alone, without the docs.

Each step follows a link or fills in a form that the page before shows, in a real browser.
"""

import json
from pathlib import Path

import pytest

from mta.make_run import MakeRun
from mta.mta_site import free_port, until
from web.chromium import Page, browser
from webhooks.sites import Endpoint, endpoint

pytestmark = pytest.mark.mta

WHO = "friend@example.test"


def follow(page: Page, words: str) -> None:
    """Follow the first link with these words."""
    found = f"[...document.querySelectorAll('a')].find(a => a.textContent.trim() === {json.dumps(words)})"
    assert page.value(f"!!{found}"), f"no link {words!r} on {page.value('location.href')}"
    address = page.value(f"{found}.href")
    page.value(f"{found}.click()")
    page.wait_for(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")


def fill(page: Page, button: str, **values: str) -> None:
    """Fill in the form with this button, and send it."""
    named = f"b => b.textContent.trim() === {json.dumps(button)}"
    form = f"[...document.querySelectorAll('button')].find({named}).form"
    for name, value in values.items():
        page.value(f"{form}.elements[{json.dumps(name)}].value = {json.dumps(value)}")
    page.value("window.before = true")
    page.value(f"{form}.requestSubmit({form}.querySelector('button'))")
    page.wait_for("window.before === undefined && document.readyState === 'complete'")


def text(page: Page) -> str:
    return str(page.value("document.querySelector('main').innerText"))


def shows(page: Page, words: str) -> None:
    """Look at the page again until it shows something."""

    def looked() -> bool:
        if words in text(page):
            return True
        page.value("location.reload()")
        page.wait_for("document.readyState === 'complete'")
        return False

    until(looked, 30, words)


def why_it_was_not_clicked(page: Page) -> None:
    follow(page, "Messages")
    fill(page, "Search", q=WHO)
    assert WHO in text(page)
    follow(page, "delivered")
    said = text(page)
    assert "tracked" in said
    assert "delivered" in said
    assert "clicked" not in said
    assert "fetched" not in said


def the_campaign_is_exported(page: Page) -> None:
    follow(page, "Campaigns")
    follow(page, "lamp-is-lit")
    assert "The lamp burns again" in text(page)
    follow(page, "Campaigns")
    address = page.value("[...document.querySelectorAll('a')].find(a => a.textContent === 'CSV').href")
    found = page.promised(f"fetch({json.dumps(address)}).then(answer => answer.text())")
    assert found.startswith("campaign,count_injected,")
    assert "\nlamp-is-lit,1,1," in found.replace("\r", "")


def the_recipient_is_suppressed(page: Page) -> None:
    follow(page, "Recipients")
    fill(page, "Show", address=WHO)
    follow(page, "Suppress…")
    assert "No entry fits" in text(page)
    fill(page, "Stop", description="asked by phone")
    assert "Manually Added" in text(page)
    assert "asked by phone" in text(page)


def a_webhook_fails_and_is_replayed(page: Page, hook: Endpoint, run: MakeRun) -> None:
    follow(page, "Webhooks")
    fill(page, "Add", name="shop", target=hook.url)
    hook.answer = lambda _path, _body: (500, {}, b"out of order")
    follow(page, "Overview")  # events go on meanwhile: this mail's
    run.send(WHO)
    hook.wait(lambda came: bool(came))
    follow(page, "Webhooks")
    follow(page, "shop")
    shows(page, "failing since")
    assert "500" in text(page)
    hook.answer = lambda _path, _body: (200, {}, b"OK")
    page.value("document.querySelector('input[name=batch]').checked = true")
    fill(page, "Send the ticked ones again")
    assert "will be sent again" in text(page)
    came = hook.wait(lambda came: came[-1].status == 200)
    assert came[-1].batch == came[0].batch
    assert came[-1].body == came[0].body


def test_a_stranger_finds_the_way(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "run", free_port(), free_port())
    try:
        run.until("Events as they come", 60)
        run.until(f"delivery          {WHO}", 30)
        with endpoint() as hook, browser(tmp_path / "profile") as page:
            page.open((tmp_path / "run" / "web-url").read_text().strip())
            shows(page, "1 mail taken in")  # figures follow the events within seconds
            why_it_was_not_clicked(page)
            the_campaign_is_exported(page)
            the_recipient_is_suppressed(page)
            a_webhook_fails_and_is_replayed(page, hook, run)
            assert page.complaints == []
    finally:
        run.end()
