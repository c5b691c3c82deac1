"""axe-core's judgement of a page that is open in Chromium: what keeps somebody from using it. Not a test.

`.ci/axe` installs it. All rules count but those that axe itself leaves off: experimental ones, and those of
WCAG's level AAA.
"""

import os

from web.chromium import Page
from web.servers import ROOT

AXE = os.environ.get("AXE_CORE", str(ROOT / ".test" / "axe" / "node_modules" / "axe-core" / "axe.min.js"))
_ASK = """axe.run(%s, {resultTypes: ["violations"], %s}).then(found => found.violations.flatMap(
  one => one.nodes.map(each => `${one.id}: ${each.html.slice(0, 150)} ${each.failureSummary}`)))"""


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
