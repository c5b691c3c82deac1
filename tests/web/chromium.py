"""Debian's Chromium, driven by Playwright: one browser for a file of tests, a fresh context for each test.

Not a test. Whatever a page complains of fails the test that opened it. Nothing but loopback is reached.
Playwright keeps an event loop in its thread for as long as it runs, so it runs no longer than one file of
tests (`conftest.py`): other files have loops of their own.

To wait, use `expect` and locators. `page.wait_for_function` would evaluate text in the page, which our own
policy forbids.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Request,
    StorageState,
    WebError,
    expect,
    sync_playwright,
)

from web.servers import TIMEOUT

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_MS = TIMEOUT * 1000
_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
_LATE = "responded with a status of 503"
_ICON = "/favicon.ico"
_GONE_ON = "net::ERR_ABORTED"  # the page was left, or what came is a download

expect.set_options(timeout=_MS)


@contextmanager
def started() -> Iterator[Browser]:
    """A browser, until the block ends. However it ends, its processes do: they hang on a pipe of ours."""
    assert PROGRAM is not None, "Chromium is not installed: .ci/system test, or apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=[*_FLAGS], timeout=_MS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def fresh_page(browser: Browser, *, complains: bool = False, **options: Any) -> Iterator[Page]:
    """A page of a context of its own. options: of `Browser.new_context`.

    complains: whether the page may complain: by errors and warnings on the console, exceptions, dialogs, what
    could not be loaded. Else it fails once the block has ended.
    """
    context = browser.new_context(**options)
    try:
        context.set_default_timeout(_MS)
        complaints: list[str] = []
        note = complaints.append
        context.on("console", lambda message: _console(message, note))
        context.on("weberror", lambda error: _error(error, note))
        context.on("requestfailed", lambda request: _failed(request, note))
        context.on("dialog", lambda dialog: _dialog(dialog, note))
        page = context.new_page()
        yield page
        page.title()  # what was told before its answer has been noted
        assert complains or complaints == []
    finally:
        context.close()


def _console(message: ConsoleMessage, note: Callable[[str], None]) -> None:
    # A page that is late says so, and comes by itself; it names no icon.
    where = message.location.get("url", "")
    if message.type in ("error", "warning", "assert") and _LATE not in message.text and _ICON not in where:
        note(f"{message.type}: {message.text} {where}")


def _error(error: WebError, note: Callable[[str], None]) -> None:
    note(f"an exception: {error.error}")


def _failed(request: Request, note: Callable[[str], None]) -> None:
    if request.failure != _GONE_ON and _ICON not in request.url:
        note(f"not loaded: {request.url} {request.failure}")


def _dialog(dialog: Dialog, note: Callable[[str], None]) -> None:
    note(f"a dialog: {dialog.message}")
    dialog.dismiss()


def signed_in(browser: Browser, address: str) -> StorageState:
    """What a browser keeps after somebody signed in at an address."""
    with fresh_page(browser) as page:
        go(page, address)
        return page.context.storage_state()


def go(page: Page, address: str) -> None:
    """Open a page of ours. One that is late comes by itself."""
    answer = page.goto(address)
    if answer is not None and answer.status == 503:
        page.locator("h1").wait_for()


def width(page: Page) -> int:
    """How wide the page is, whatever its window."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def at_path(page: Page, path: str, *, query: str = "") -> None:
    """Wait until the page at a path of ours is there, with some text in its query."""
    found = rf"^http://[^/]+{re.escape(path)}(\?|$)"
    expect(page).to_have_url(re.compile(found + (f".*{re.escape(query)}" if query else "")))
    page.wait_for_load_state()


def focus(page: Page) -> Locator:
    """What has the keyboard's focus."""
    return page.locator("*:focus")
