"""Makes the pictures of docs/pages.md from a site of made-up mail, in a real browser: `make pictures`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from web.chromium import browser
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


def main(folder: Path = FOLDER) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as at:
        site = shown_site(Path(at), MAILS)
        with running(site, web), browser(Path(at) / "profile") as page:
            page.size(1280, 860)
            page.prefer("light")
            page.open(opener(site))
            for name, path in PICTURES.items():
                page.size(1280, 300)
                page.open(f"http://localhost:{site.web}{path}")
                height = min(
                    TALLEST.get(name, 1100), int(page.value("document.documentElement.scrollHeight"))
                )
                page.screenshot(folder / f"{name}.png", 1280, height)
                print(folder / f"{name}.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
