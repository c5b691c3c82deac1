"""The click map, who was reached, zoomed series; and that a mail in a frame can do nothing."""

import csv
import hashlib
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, StorageState, expect
from werkzeug.datastructures import Headers

from engagement.access.users import Role, Users
from engagement.events.model import MessageEvent
from engagement.events.rows import rows
from engagement.html_copies.book import CopyBook
from engagement.html_copies.model import CopiedLink, mark
from engagement.links.model import Kind, Link
from engagement.links.ring_file import RingFile
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from hop_mail import CLIENT, FIELDS, api
from mta.mta_site import until
from smtpapi.commands import main
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL
from smtpapi.model.message import Field, Message
from smtpapi.process.worker_services import WorkerServices
from smtpapi.telemetry.counters import Counters
from tracker_web.pages.content import people
from tracker_web.pages.content.mail_frame import Clicks, framed
from tracker_web.web.app import create_app
from web.chromium import at_path, fresh_page, go, signed_in
from web.servers import ROOT, TIMEOUT, Site, make_site, opener, running, web
from web.shown_site import ADDRESS, CAMPAIGN, PERIOD, a_copy, add_rows, hit, keep, shown_site
from web.signing_in import HOST, PASSWORD, sign_in
from web.web_cases import NOW
from web.web_events import an_injection

VENDORED = ROOT / "tracker_web" / "pages" / "static" / "vendor"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return shown_site(tmp_path_factory.mktemp("shown"), 60)


@pytest.fixture
def client(site: Site) -> Iterator[FlaskClient]:
    app = create_app(load_file(site.config))
    with app.test_client() as client:
        token = (site.folder / "web-token").read_text().strip()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        yield client


def text(client: FlaskClient, path: str, status: int = 200, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    while answer.status_code == 503 and b"takes its time" in answer.data:
        time.sleep(0.2)  # on a busy machine a page may take longer than the server waits for it
        answer = client.get(path, headers=headers)
    assert answer.status_code == status, answer.get_data(as_text=True)[:500]
    return answer.get_data(as_text=True)


def fields(client: FlaskClient, path: str) -> Headers:
    """The header of a page, however long it takes."""
    answer = client.get(path)
    while answer.status_code == 503:
        time.sleep(0.2)
        answer = client.get(path)
    return answer.headers


def exported(client: FlaskClient, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(client, path))))


def shares(document: str) -> list[str]:
    return [
        found.replace("\u202f", " ")
        for found in re.findall(r'<span class="smtpapi-share[^>]*>([^<]*)<', document)
    ]


def test_each_link_has_its_number_and_share_in_the_mail_and_in_the_table(client: FlaskClient) -> None:
    page = text(client, f"/map/{CAMPAIGN}")
    frame = re.search(r'<iframe class="mail" sandbox src="(/mail-copy/[^"]+)"', page)
    assert frame is not None
    found = exported(client, f"/map/{CAMPAIGN}?export=csv&table=links")
    assert [row["link"] for row in found] == ["walks", "tickets", "the lamp", "leave the list"]
    assert found[1]["target"] == "https://lighthouse.example/tickets"
    drawn = shares(text(client, frame[1].replace("&amp;", "&")))
    assert [each.partition(" ")[0] for each in drawn] == ["1", "2", "3", "4"]
    for each, row in zip(drawn, found, strict=True):
        share = float(row["share"]) * 100
        assert each.endswith(f"· {share:.{0 if share >= 10 else 1}f} %")
    assert sum(float(row["share"]) for row in found) == pytest.approx(1)
    assert exported(client, f"/campaigns/{CAMPAIGN}?export=csv&table=links")[0]["link"] in {
        row["link"] for row in found
    }


def test_the_map_goes_by_the_period_of_its_address(client: FlaskClient) -> None:
    day = "?from=2020-01-01&to=2020-01-02"
    found = exported(client, f"/map/{CAMPAIGN}{day}&export=csv")
    assert [(row["x_count_people_unique_clicked"], row["share"]) for row in found] == [("0", "")] * 4
    assert shares(text(client, f"/mail-copy/{CAMPAIGN}{day}")) == ["1", "2", "3", "4"]


def test_without_a_copy_there_is_the_table_and_what_to_do(client: FlaskClient) -> None:
    page = text(client, "/map/opening-hours")
    assert "keep_html_days = 30" in page
    assert "<iframe" not in page
    assert exported(client, "/map/opening-hours?export=csv")
    assert text(client, "/mail-copy/opening-hours", 404)
    assert text(client, "/map/no-such", 404)


def test_from_a_mail_through_the_filter_to_its_map(tmp_path: Path) -> None:
    """By the programs' parts: a worker's services, `smtpapi ship --once`, the pages, `recipient erase`."""
    more = f"""registry {{ path = "{tmp_path}/registry.db" }}
    ESMTP_Listener {{ tracking_domain = "t.example.net" click_tracking_enabled = true keep_html_days = 9
        Listen ":25" {{ }} }}"""
    made = make_site(tmp_path, more=more)
    settings = load_file(made.config)
    worker = WorkerServices(settings, None, RingFile(tmp_path / "keys"), Counters.create(1).row(0))
    services = worker.for_sessions()
    body = b'<p>Dear Ann, <a href="https://shop.example/first" data-msys-linkname="first">go</a></p>'
    message = Message((*FIELDS, Field("To", b" Ann <ann@example.net>"), api(campaign_id="autumn")), body)
    envelope = Envelope(CLIENT, "news@example.org", ("ann@example.net",), "Q1")
    result = services.consider(envelope, message, {}, ALL)
    services.record(result)
    assert services.keep is not None
    assert services.keep(result, message)
    worker.close()
    assert len(list(made.spool.glob("*.kept"))) == 1
    run = CliRunner()
    assert run.invoke(main, ["ship", "--once", "--config", str(made.config)]).exit_code == 0
    assert list(made.spool.glob("*.kept")) == []
    client = create_app(settings).test_client()
    token = (tmp_path / "web-token").read_text().strip()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    assert [row["link"] for row in exported(client, "/map/autumn?export=csv")] == ["first"]
    assert "Dear ▒▒▒▒, <a" in text(client, "/mail-copy/autumn")
    done = run.invoke(main, ["recipient", "erase", "--yes", "ann@example.net", "--config", str(made.config)])
    assert "1 kept copy or copies of mail removed" in done.output
    assert text(client, "/mail-copy/autumn", 404)


def test_a_form_that_was_kept_beside_is_a_choice(client: FlaskClient, site: Site) -> None:
    keep(site.folder, replace(a_copy("members-2026"), form="one", subject="The first"))
    keep(site.folder, replace(a_copy("members-2026"), form="two", subject="The second", html="<p>two"))
    page = text(client, "/map/members-2026?form=two")
    assert "<strong>The second</strong>" in page
    assert "form=one" in page
    assert "<p>two" in text(client, "/mail-copy/members-2026?form=two")
    assert "The lamp burns again" in text(client, "/mail-copy/members-2026?form=one")


def test_the_frame_may_do_nothing_and_the_page_only_frames_what_is_ours(client: FlaskClient) -> None:
    policy = fields(client, f"/mail-copy/{CAMPAIGN}")
    assert policy["Content-Security-Policy"].startswith(
        "sandbox; default-src 'none'; style-src 'unsafe-inline';"
    )
    for word in ("script", "img", "http", "data:", "allow", "connect", "font", "frame-src"):
        assert word not in policy["Content-Security-Policy"]
    assert policy["X-Frame-Options"] == "SAMEORIGIN"
    assert policy["Referrer-Policy"] == "no-referrer"
    around = fields(client, f"/map/{CAMPAIGN}")
    assert around["Content-Security-Policy"].endswith("frame-ancestors 'none'; frame-src 'self'")
    assert "unsafe" not in around["Content-Security-Policy"]
    assert "frame-src" not in fields(client, f"/campaigns/{CAMPAIGN}")["Content-Security-Policy"]


def test_a_mark_is_drawn_for_links_of_the_copy_alone() -> None:
    copy = a_copy(html="<p>x")
    html = f"<p>{mark(2)}{mark(9)}</p>"
    assert shares(framed(copy, html, {2: Clicks(4, 0.05)}, "<t>")) == ["3 · 5 %"]
    assert "<title>&lt;t&gt;</title>" in framed(copy, html, {}, "<t>")


@pytest.mark.parametrize("path", [f"/map/{CAMPAIGN}", f"/mail-copy/{CAMPAIGN}", f"/reached/{CAMPAIGN}"])
def test_another_tenant_sees_none_of_it(site: Site, path: str) -> None:
    registry = SqliteRegistry(site.folder / "registry.db")
    if not any(user.name == "Ole" for user in Users(registry).all()):
        Users(registry).add("Ole", PASSWORD, Role.ADMINISTERS, "other")
    registry.close()
    client = create_app(load_file(site.config)).test_client()
    assert client.get(path, headers=HOST).status_code == 401
    sign_in(client, "Ole")
    assert ADDRESS not in text(client, path, 200 if "reached" in path else 404, **HOST)


def test_a_copy_that_ends_is_not_shown(client: FlaskClient, site: Site) -> None:
    keep(site.folder, replace(a_copy("over"), until_ms=1))
    assert text(client, "/mail-copy/over", 404)
    keep(site.folder, a_copy("damaged"))
    registry = SqliteRegistry(site.folder / "registry.db")
    registry.put("kept_html_body", a_copy("damaged").key, {"zlib": "no base64"})
    assert CopyBook(registry).html(a_copy("damaged")) is None
    registry.close()
    assert text(client, "/mail-copy/damaged", 404)
    assert "<iframe" in text(client, "/map/damaged")


# No frame in it: before Chromium asks the policy about one, it opens a connection and says nothing over it.
HOSTILE = """<form action="FAR/"><input autofocus name="a"><button id="send">go</button></form>
<script>parent.done = 1; document.title = "done"</script>
<img src="FAR/x" onerror="parent.done=1"><style>@import "FAR/y"; body{background:url(FAR/z)}</style>
<link rel="stylesheet" href="FAR/s"><object data="FAR/o"></object><svg onload="parent.done=1"></svg>
<a href="FAR/" target="_top">out</a><meta http-equiv="refresh" content="0;url=FAR/"><base href="FAR/">
<video src="FAR/v" autoplay></video><p>seen</p>"""


@pytest.fixture(scope="module")
def session(site: Site, chromium: Browser) -> Iterator[StorageState]:
    """What a browser keeps that signed in; the pages are served while it is there."""
    with running(site, web):
        yield signed_in(chromium, opener(site))


def options(site: Site, session: StorageState) -> dict[str, Any]:
    return {"storage_state": session, "base_url": f"http://localhost:{site.web}"}


@pytest.fixture
def page(site: Site, chromium: Browser, session: StorageState) -> Iterator[Page]:
    with fresh_page(chromium, **options(site, session)) as fresh:
        yield fresh


@pytest.fixture
def far() -> Iterator[socket.socket]:
    """A server of somebody else, which notes whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def test_in_a_browser_a_hostile_copy_can_do_nothing(
    site: Site, chromium: Browser, session: StorageState, far: socket.socket
) -> None:
    """Even one that was never made harmless: as if somebody had put it into the registry."""
    hostile = HOSTILE.replace("FAR", f"http://127.0.0.1:{far.getsockname()[1]}")
    keep(site.folder, replace(a_copy("hostile"), html=hostile + mark(0)))
    with fresh_page(chromium, complains=True, **options(site, session)) as page:  # of all that is forbidden
        go(page, "/mail-copy/hostile")
        at_path(page, "/map/hostile")  # it is shown in its frame alone
        frame = page.frame_locator("iframe")
        expect(frame.get_by_text("seen")).to_be_visible()
        frame.get_by_role("button", name="go").click()
        frame.get_by_role("link", name="out").click()
        page.wait_for_timeout(300)
        at_path(page, "/map/hostile")
        assert page.evaluate("window.done") is None
    with pytest.raises(BlockingIOError):
        far.accept()[0].close()


STATES = {
    "sent": "injection",
    "delivered": "delivery",
    "bounced": "bounce",
    "delayed": "delay",
    "unsubscribed": "link_unsubscribe",
}


@pytest.mark.parametrize("state", STATES)
def test_the_recipients_of_a_state_are_those_of_its_events(client: FlaskClient, state: str) -> None:
    found = exported(client, f"/reached/{CAMPAIGN}?state={state}&export=csv")
    events = exported(client, f"/messages?campaign={CAMPAIGN}&type={STATES[state]}&export=csv")
    assert {row["recipient"] for row in found} == {event["raw_rcpt_to"] for event in events}
    assert found
    page = text(client, f"/reached/{CAMPAIGN}?state={state}")
    assert f'<a href="/recipients?address={found[0]["recipient"].replace("@", "%40")}">' in page or (
        f'<a href="/recipients?address={found[0]["recipient"]}">' in page
    )
    assert json.loads(text(client, f"/reached/{CAMPAIGN}?state={state}&export=json"))[0] == {
        **found[0],
        "times": int(found[0]["times"]),
    }


def test_each_state_has_as_many_as_its_figure_says(client: FlaskClient) -> None:
    """Here each recipient has one message of the campaign, so messages and recipients are as many."""
    page = text(client, f"/campaigns/{CAMPAIGN}")
    counted = dict(re.findall(r'state=([\w-]+)">[^<]*</a></td><td class="number">([\d]+)<', page))
    assert len(counted) == len(people.STATES) - 1
    for state, number in counted.items():
        found = exported(client, f"/reached/{CAMPAIGN}?state={state}&export=csv")
        assert len(found) == int(number), state
    assert int(counted["clicked-people"]) > 0
    assert int(counted["clicked-machines"]) > 0


def test_who_clicked_one_link(client: FlaskClient) -> None:
    found = exported(client, f"/reached/{CAMPAIGN}?state=clicked&link=2&export=csv")
    assert found
    assert {row["what"] for row in found} == {"the lamp"}
    page = text(client, f"/reached/{CAMPAIGN}?state=clicked&link=2")
    assert "Link 3 alone" in page
    assert "state=clicked-people&amp;link=2" in page
    linked = re.findall(r'href="(/reached/[^"]+link=2)"', text(client, f"/map/{CAMPAIGN}"))
    assert linked == [f"/reached/{CAMPAIGN}?state=clicked&amp;link=2"]


@pytest.mark.parametrize(
    "query", ["state=no-such", "link=x", "link=999999999999", "cursor=nonsense", "link=\u0663"]
)
def test_what_no_list_is_named_is_no_fault_of_the_server(client: FlaskClient, query: str) -> None:
    assert "Recipients: Sent" in text(client, f"/reached/{CAMPAIGN}?{query}")


def test_nobody_is_said(client: FlaskClient) -> None:
    assert "<h2>Nobody</h2>" in text(client, f"/reached/{CAMPAIGN}?state=complained")
    assert exported(client, f"/reached/{CAMPAIGN}?state=complained&export=csv") == []


def an_open(address: str, client: str, at: int, *, certain: bool = True) -> dict[str, object]:
    fields: dict[str, object] = {"type": "open", "raw_rcpt_to": address, "x_client_class": client}
    fields |= {"timestamp": f"2026-11-01T00:00:{at:02}.000Z", "message_id": address}
    return fields if certain else fields | {"x_client_certain": False}


def test_who_is_of_the_people_once_is_of_no_other_side() -> None:
    events = [
        an_open("a@x", "scanner", 9),
        an_open("A@x", "human", 8),
        an_open("b@x", "unknown", 7),
        an_open("b@x", "prefetch", 6),
        an_open("c@x", "prefetch", 5),
        an_open("d@x", "scanner", 4, certain=False),
        an_open("e@x", "probe", 3),
        an_open("", "proxy", 2),
    ]
    found = {
        state: [row.values["recipient"] for row in people.people_table(people.STATES[state], events, 10).rows]
        for state in ("opened-people", "opened-unsure", "opened-machines")
    }
    assert found == {
        "opened-people": ["a@x", ""],
        "opened-unsure": ["b@x", "d@x"],
        "opened-machines": ["c@x"],
    }
    (row, *_) = people.people_table(people.STATES["opened-people"], events, 10).rows
    assert (row.values["times"], row.values["first"][17:19], row.values["last"][17:19]) == (2, "08", "09")
    assert people.people_table(people.STATES["opened-people"], events, 1).more


def test_vendored_files_are_what_their_makers_published() -> None:
    folders = [each for each in VENDORED.iterdir() if each.is_dir()]
    assert folders
    for folder in folders:
        vendored = (folder / "VENDOR.txt").read_text("utf-8")
        lines = [line.split() for line in vendored.partition("SHA-256:\n")[2].splitlines() if line]
        hashes = {name: digest for digest, name in lines}
        assert set(hashes) == {each.name for each in folder.iterdir()} - {"VENDOR.txt"}
        for name, digest in hashes.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
        assert "LICENSE" in hashes
        assert "Licence: " in vendored


@pytest.mark.parametrize("path", [f"/{PERIOD}", f"/campaigns/{CAMPAIGN}"])
def test_in_a_browser_a_series_is_zoomed_and_pointed_at(page: Page, path: str) -> None:
    go(page, path)
    canvas, whole = page.locator("figure.plotted .plot canvas"), page.locator(".whole")
    expect(canvas).to_be_visible()
    expect(whole).to_be_hidden()
    expect(page.locator(".plot")).to_have_attribute("aria-hidden", "true")
    assert drawn_width(page) <= 1
    over = page.locator(".u-over")
    over.hover()
    expect(page.locator(".u-legend .u-value").first).to_contain_text("2026")
    box = over.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=2)
    page.mouse.up()
    whole.click()
    expect(whole).to_be_hidden()
    light = canvas.evaluate("canvas => canvas.toDataURL()")
    page.emulate_media(color_scheme="dark")
    until(lambda: canvas.evaluate("canvas => canvas.toDataURL()") != light, TIMEOUT, "drawn for the dark")


def drawn_width(page: Page) -> float:
    """How wide the server's own drawing is."""
    return float(page.locator("svg.chart").first.evaluate("chart => chart.getBoundingClientRect().width"))


def test_without_script_a_series_is_the_servers_drawing(
    site: Site, chromium: Browser, session: StorageState
) -> None:
    with fresh_page(chromium, java_script_enabled=False, **options(site, session)) as page:
        go(page, f"/campaigns/{CAMPAIGN}")
        expect(page.locator(".plot")).to_have_count(0)
        assert drawn_width(page) > 500


RUDE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


def test_text_of_strangers_stays_text_in_the_browser(site: Site, page: Page) -> None:
    """User-Agent, subject, sender, link, campaign, recipient, an answer of a mail server, and a kept copy."""
    name = RUDE[:60]
    mail = an_injection()._replace(
        message_id=b"\xee" * 16, recipient=f"{RUDE}@example.net", friendly_from=RUDE, subject=RUDE,
        campaign=name, at_ms=(NOW - 3600) * 1000, queue_id="4bRude",
    )  # fmt: skip
    link = Link(b"https://a.example/'\"><script>alert(3)</script>", RUDE[:63], False, 0, "html")
    delivery = MessageEvent(
        "0190aaaa-0000-7000-8000-00000000eeee", mail.at_ms, "bounce", "mx", "4bRude", 7, raw_reason=RUDE
    )
    add_rows(site, [
        *rows(mail),
        *rows(hit(mail, Kind.CLICK, 60, RUDE, link)),
        *rows(hit(mail, Kind.OPEN, 90, RUDE)),
        *rows(delivery, injection=mail),
    ])  # fmt: skip
    copy = a_copy(name, html=f"<p>{RUDE}</p>")
    links = (CopiedLink(0, RUDE[:63], f"https://a.example/{RUDE}"),)
    keep(site.folder, replace(copy, subject=RUDE, links=links))
    keep(site.folder, replace(copy, subject=RUDE, links=links, form="other"))
    shown = 0
    quoted = quote(name, safe="")
    paths = [f"/map/{quoted}", f"/campaigns/{quoted}", f"/machines/rule/no-rule{PERIOD}"]
    paths += [f"/reached/{quoted}?state={state}" for state in ("sent", "bounced", "opened-unsure", "clicked")]
    for path in paths:
        go(page, path)
        expect(page.locator("script:not([src]), main img, [onerror]")).to_have_count(0)
        shown += "<script>alert" in (page.locator("body").text_content() or "")
        assert "49" not in page.title(), path
    assert shown >= 5  # it was there to be run
