"""What a pixel adds to a page's height in a real browser: at most one pixel, in whatever mode and place.

Each document is laid out twice, 800 wide: as its author wrote it, and tracked, with the pixels loaded.
"""

import base64
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from html_mutants import CORPUS
from smtpapi.find import html
from smtpapi.rewrite import pixels, places
from web.chromium import fresh_page

GIF = b"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
STANDARDS = "<!DOCTYPE html>"
ALMOST = (
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"'
    ' "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
)
STRICT = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">'
QUIRKS_4 = '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">'
MODES = {"quirks": "", "standards": STANDARDS, "almost": ALMOST, "strict": STRICT, "html 4": QUIRKS_4}

TABLE = '<table width="100%" cellspacing="0" style="background:#fff"><tr><td>Offer</td></tr></table>'
ENDS = {
    "table": f'<html><body style="margin:0;background:#222">{TABLE}</body></html>',
    "paragraph": "<html><body><p>Hello</p></body></html>",
    "text": "<html><body>Hello</body></html>",
    "center": f"<html><body><center>{TABLE}</center></body></html>",
    "unclosed center": f"<html><body><center>{TABLE}",
    "div": '<html><body><div style="padding:20px;line-height:30px">Hello</div></body></html>',
    "unclosed table": "<html><body><table><tr><td>Hello",
    "unclosed paragraph": "<html><body><p style='font-size:40px'>Hello</body></html>",
    "large line": f"<html><body style='font-size:30px;line-height:50px'>{TABLE}</body></html>",
    "picture": f"<html><body>{TABLE}<img src='{GIF.decode()}' width='300' height='100'></body></html>",
    "break": "<html><body>Hello<br></body></html>",
    "list": "<html><body><ul><li>one<li>two</ul></body></html>",
    "right to left": f"<html><body dir='rtl'>{TABLE}<p>Hello</p></body></html>",
    "preheader": f'<html><body><div style="display:none">first words</div>{TABLE}</body></html>',
    "fragment": TABLE,
    "heading": "<html><body><h1>Hello</h1></body></html>",
    "style behind": f"<html><body>{TABLE}<style>p {{ color: red }}",
    "comment behind": f"<html><body>{TABLE}<!-- campaign",
    "cut tag": f'<html><body>{TABLE}<a href="https://a.example/cut',
    "behind the body": f"<html><body>{TABLE}</body></html><p>Footer of the list</p>",
}


_LOADED = re.compile(rb"""((?:src|srcset|background|url\(|href)\s*=?\s*["']?)(?:https?:)?//""", re.IGNORECASE)


class Case(NamedTuple):
    """A document, and the same with both pixels or the last alone."""

    name: str
    untouched: bytes
    tracked: bytes

    @property
    def pixels(self) -> int:
        return self.tracked.count(GIF) - self.untouched.count(GIF)


def with_pixels(data: bytes, *, initial: bool) -> bytes:
    page = html.scan(data)
    places_of_pixels = [places.last(data, page, lambda: None)]
    if initial and page.has_html and page.body_open >= 0:
        places_of_pixels.insert(0, places.first(data, page, lambda: None))
    assert min(places_of_pixels) >= 0
    for place in sorted(places_of_pixels, reverse=True):
        data = data[:place] + pixels.html(GIF) + data[place:]
    return data


def cases() -> Iterator[Case]:
    for mode, doctype in MODES.items():
        for end, body in ENDS.items():
            data = f"{doctype}{body}".encode()
            for initial in (False, True):
                name = f"{mode}, {end}{', first pixel too' if initial else ''}"
                yield Case(name, data, with_pixels(data, initial=initial))


def real_cases() -> Iterator[Case]:
    """Documents of others, which load and run nothing."""
    for path in sorted(CORPUS.glob("html/*/*.html"))[::9]:
        data = _LOADED.sub(rb"\1none:", path.read_bytes())
        if len(data) < 200_000 and b"<script" not in data and b"<frameset" not in data:
            yield Case(path.name, data, with_pixels(data, initial=False))


_MEASURE = """async ([plain, tracked]) => {
  const height = async (bytes) => {
    const frame = document.createElement('iframe');
    frame.width = 800; frame.height = 1; frame.sandbox = 'allow-same-origin'; frame.style.border = 0;
    document.body.append(frame);
    const page = frame.contentDocument;
    page.open();
    page.write(new TextDecoder().decode(Uint8Array.from(atob(bytes), c => c.charCodeAt(0))));
    page.close();
    while (page.readyState !== 'complete') await new Promise(done => setTimeout(done, 2));
    await Promise.allSettled([...page.images].map(img => img.decode()));
    const size = [Math.max(page.documentElement.scrollHeight, page.body.scrollHeight), page.compatMode];
    const pixels = [...page.querySelectorAll('img[width="1"]')].filter(img => img.complete).length;
    frame.remove();
    return [...size, pixels];
  };
  return [await height(plain), await height(tracked)];
}"""


def heights(page: Page, case: Case) -> list[list[Any]]:
    both = [base64.b64encode(document).decode() for document in (case.untouched, case.tracked)]
    found: list[list[Any]] = page.evaluate(_MEASURE, both)
    return found


def faults(chromium: Browser, selected: list[Case]) -> list[str]:
    found = []
    with fresh_page(chromium, complains=True) as page:  # of pictures that such mail names and nobody has
        for case in selected:
            without, tracked = heights(page, case)
            loaded = tracked[2] - without[2]
            if (
                loaded != case.pixels
                or not 0 <= tracked[0] - without[0] <= loaded
                or tracked[1] != without[1]
            ):
                found.append(f"{case.name}: {without} became {tracked}")
    return found


def test_h12_a_pixel_adds_one_pixel_at_most_to_each_made_document(chromium: Browser) -> None:
    selected = [
        case for case in cases() if case.pixels == 1 and not case.name.startswith(("strict", "html 4"))
    ]
    assert len(selected) >= 34
    assert faults(chromium, selected) == []


@pytest.mark.long
def test_h12_a_pixel_adds_one_pixel_at_most_to_each_document(chromium: Browser) -> None:
    selected = [*cases(), *real_cases()]
    assert faults(chromium, selected) == []


def test_h12_pixels_as_they_were_add_a_line(chromium: Browser) -> None:
    """The judge sees it: without align the pixel opens a line in a document with a doctype."""
    selected = [
        case._replace(tracked=case.tracked.replace(b' align="left"', b""))
        for case in cases()
        if case.name in ("standards, table", "almost, large line", "quirks, table")
    ]
    assert [fault.partition(":")[0] for fault in faults(chromium, selected)] != []
