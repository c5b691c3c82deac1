"""Pages as everybody uses them: by keyboard alone, and what axe-core says keeps somebody out. Not a test.

`.ci/axe` installs it. All rules count but those that axe itself leaves off: experimental ones, and those of
WCAG's level AAA.
"""

import os

from web.chromium import Page
from web.servers import ROOT, Site

AXE = os.environ.get("AXE_CORE", str(ROOT / ".test" / "axe" / "node_modules" / "axe-core" / "axe.min.js"))
_ASK = """axe.run(%s, {resultTypes: ["violations"], %s}).then(found => found.violations.flatMap(
  one => one.nodes.map(each => `${one.id}: ${each.html.slice(0, 150)} ${each.failureSummary}`)))"""


def at(site: Site, path: str) -> str:
    """The address of a page."""
    return f"http://localhost:{site.web}{path}"


def walk(page: Page, to: str, most: int = 60) -> None:
    """Press Tab until what has the focus matches a selector."""
    for _ in range(most):
        page.press("Tab")
        if page.value(f"document.activeElement.matches({to!r})"):
            return
    raise AssertionError(f"not reached by Tab: {to}")


def bring(page: Page) -> None:
    """Have axe in each document that the page opens from now on."""
    try:
        with open(AXE, encoding="utf-8") as file:
            page.call("Page.addScriptToEvaluateOnNewDocument", source=file.read())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{AXE}: run .ci/axe, which installs axe-core") from error


def hindrances(page: Page, *, only_colours: bool = False) -> list[str]:
    """What axe-core objects to on the page as it stands, each with its element.

    only_colours: only the rules that another colour scheme can change; of a long list, its first lines.
    """
    where, which = "document", "preload: false"
    if only_colours:
        where = '{exclude: [[".timeline li:nth-child(n+14)"]]}'
        which = 'runOnly: ["color-contrast", "link-in-text-block"]'
    found: list[str] = page.promised(_ASK % (where, which))
    return found
