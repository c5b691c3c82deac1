"""Pages as everybody uses them: by keyboard alone, and what axe-core says keeps somebody out. Not a test.

`.ci/axe` installs it. All rules count but those that axe itself leaves off: experimental ones, and those of
WCAG's level AAA.
"""

import os
from pathlib import Path

from playwright.sync_api import Locator, Page

from web.servers import ROOT, Site

AXE = os.environ.get("AXE_CORE", str(ROOT / ".test" / "axe" / "node_modules" / "axe-core" / "axe.min.js"))
_ASK = """([where, options]) => axe.run(where || document, {resultTypes: ["violations"], ...options})
  .then(found => found.violations.flatMap(
    one => one.nodes.map(each => `${one.id}: ${each.html.slice(0, 150)} ${each.failureSummary}`)))"""
_LONG_LISTS = {"exclude": [[".timeline li:nth-child(n+14)"]]}
_COLOURS = ["color-contrast", "link-in-text-block"]


def at(site: Site, path: str) -> str:
    """The address of a page."""
    return f"http://localhost:{site.web}{path}"


STOPS = """[...document.querySelectorAll(
  'a[href],button,input:not([type=hidden]),select,summary,[tabindex="0"]')]
  .filter(each => each.checkVisibility() && each.tabIndex >= 0 && !each.disabled)"""
_AWAY = f"wanted => (stops => stops.indexOf(wanted) - stops.indexOf(document.activeElement))({STOPS})"


def tab_to(to: Locator, most: int = 250) -> None:
    """Press Tab until a place has the focus. It is asked first how often that should be, which saves time."""
    target, keyboard = to.element_handle(), to.page.keyboard
    for _ in range(target.evaluate(_AWAY) - 1):
        keyboard.press("Tab")
    for _ in range(most):
        keyboard.press("Tab")
        if target.evaluate("wanted => wanted === document.activeElement"):
            return
    raise AssertionError(f"not reached by Tab: {to}")


def press(to: Locator, key: str = "Enter") -> None:
    """Go to a place by Tab, and press a key there."""
    tab_to(to)
    to.page.keyboard.press(key)


def write(to: Locator, text: str) -> None:
    """Go to a field by Tab, and write into it."""
    tab_to(to)
    to.page.keyboard.type(text)


def bring(page: Page) -> None:
    """Have axe in each document that the page opens from now on."""
    if not Path(AXE).exists():
        raise FileNotFoundError(f"{AXE}: run .ci/axe, which installs axe-core")
    page.add_init_script(path=AXE)


def hindrances(page: Page, *, only_colours: bool = False) -> list[str]:
    """What axe-core objects to on the page as it stands, each with its element.

    only_colours: only the rules that another colour scheme can change; of a long list, its first lines.
    """
    results: list[object] = [None, {"preload": False}]
    if only_colours:
        results = [_LONG_LISTS, {"runOnly": _COLOURS}]
    found: list[str] = page.evaluate(_ASK, results)
    return found
