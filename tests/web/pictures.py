"""Makes the pictures of docs/pages.md from a site of made-up mail, in a real browser: `make pictures`.

To look at all as a phone shows them: `python -m web.pictures FOLDER 390`.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import ViewportSize

from web.chromium import fresh_page, go, started
from web.servers import ROOT, opener, running, web
from web.shown_site import CAMPAIGN, MESSAGE, PERIOD, shown_site

FOLDER = ROOT / "docs" / "pages"
PICTURES = {
    "overview": f"/{PERIOD}",
    "campaign": f"/campaigns/{CAMPAIGN}",
    "map": f"/map/{CAMPAIGN}",
    "message": f"/messages/{MESSAGE}",
    "live": "/live",
}
MAILS = 160
TALLEST = {"live": 620, "map": 760}  # pixels; what is below adds weight and no idea


def main(folder: Path, wide: int) -> None:
    """Write the pictures into a folder. wide: of the window, in pixels."""
    folder.mkdir(exist_ok=True)
    window = ViewportSize(width=wide, height=300)
    with TemporaryDirectory() as at, started() as browser:
        site = shown_site(Path(at), MAILS)
        with running(site, web), fresh_page(browser, viewport=window) as page:
            go(page, opener(site))
            for name, path in PICTURES.items():
                page.set_viewport_size(window)
                go(page, f"http://localhost:{site.web}{path}")
                tall = int(page.evaluate("document.documentElement.scrollHeight"))
                page.set_viewport_size({"width": wide, "height": min(TALLEST.get(name, 1100), tall)})
                page.screenshot(path=folder / f"{name}.png")
                print(folder / f"{name}.png")


if __name__ == "__main__":
    given = dict(enumerate(sys.argv[1:]))
    main(Path(given.get(0, FOLDER)), int(given.get(1, 1280)))
