"""The page to unsubscribe in a real browser, with scripts off: its buttons work under its own policy."""

from pathlib import Path

import pytest

from engagement.events.model import UNDO
from engagement.links.model import Kind, Link
from engagement.links.token import copy_sealer
from web.chromium import browser
from web.everybody import bring, hindrances, walk
from web.servers import Site, make_site, running
from web.web_cases import KEY, identity

NEWS = Link(b"news.example.com", "Weekly <News>")
PRESS = "document.forms[{}].querySelector('button').click()"


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_reader_leaves_all_lists_and_takes_it_back(tmp_path: Path, language: str) -> None:
    site: Site = make_site(tmp_path, tracker='sender = "Example Ltd."')
    token = copy_sealer(KEY, identity()).seal(Kind.LIST_UNSUBSCRIBE, NEWS).decode("ascii")
    with running(site), browser(tmp_path / "profile") as page:
        page.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.call(
            "Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True
        )
        page.open(f"http://127.0.0.1:{site.port}/f/a/{token}")
        assert page.value("document.documentElement.lang") == language
        assert "Weekly <News> (news.example.com)" in page.value("document.body.innerText")
        assert page.value("document.documentElement.scrollWidth") <= 390
        assert page.value("getComputedStyle(document.body).maxWidth") != "none"  # its style is let in
        assert site.hits() == []
        for form, buttons in ((1, 1), (0, 0)):
            page.value(PRESS.format(form))
            page.wait_for(f"document.readyState === 'complete' && document.forms.length === {buttons}")
        complaints = [each for each in page.complaints if "favicon" not in each]
        assert complaints == []
    assert [hit.method for hit in site.hits()] == ["POST", UNDO]


def test_a_reader_asks_for_erasure_by_keyboard_on_pages_without_a_hindrance(tmp_path: Path) -> None:
    site: Site = make_site(tmp_path, tracker='sender = "Example Ltd."')
    token = copy_sealer(KEY, identity()).seal(Kind.LIST_UNSUBSCRIBE, NEWS).decode("ascii")
    with running(site), browser(tmp_path / "profile") as page:
        bring(page)
        page.call("Network.setExtraHTTPHeaders", headers={"Accept-Language": "de"})
        page.size(390)
        page.open(f"http://127.0.0.1:{site.port}/f/a/{token}")
        found = hindrances(page)
        walk(page, "a[href='?about']")
        page.press("Enter")
        page.wait_for("location.search === '?about' && document.readyState === 'complete'")
        assert page.value("document.documentElement.scrollWidth") <= 390
        found += hindrances(page)
        page.prefer("dark")
        found += hindrances(page, only_colours=True)
        walk(page, "form[action='?erase'] button")
        page.press("Enter")
        page.wait_for("location.search === '?erase' && document.readyState === 'complete'")
        assert "Ihr Wunsch" in page.value("document.body.innerText")
        found += hindrances(page)
        assert found == []
        assert [each for each in page.complaints if "favicon" not in each] == []
    assert [hit.method for hit in site.hits()] == ["ERASE"]
