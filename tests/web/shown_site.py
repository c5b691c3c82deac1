"""A site with a month of mail in it, about a hundred events or one, for looking at its pages. Not a test.

The same events each time: their times follow from `NOW`, never from the clock.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engagement.access.keys import ApiKeys
from engagement.access.users import Role, Users
from engagement.events.ids import EventIds
from engagement.events.model import Hit, Injection, MessageEvent
from engagement.events.rows import EventRow, rows
from engagement.html_copies.book import CopyBook
from engagement.html_copies.model import CopiedLink, HtmlCopy
from engagement.html_copies.sealed_targets import seal
from engagement.links.keys import Ring
from engagement.links.marks import marks
from engagement.links.model import Identity, Kind, Link
from engagement.links.token import copy_sealer, open_token
from engagement.links.urls import click_url
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from engagement.shipper import status
from engagement.stores import open_store
from engagement.suppression import book
from engagement.suppression.model import Entry, MailKind, Source
from engagement.tracking_domains.documents import TrackingDomains
from engagement.webhooks.documents import Documents
from engagement.webhooks.model import DELIVERED, FAILED, Batch, BatchState, Endpoint, State, Webhook
from smtpapi.rewrite.mail_copy import copy_of
from web.servers import Site, make_site
from web.signing_in import PASSWORD
from web.web_cases import KEY, NOW, identity
from web.web_events import BROWSER, an_injection

DAY = 86_400
CAMPAIGN = "autumn-letter"
ADDRESS = "friend0@north.example"
MESSAGE = (1).to_bytes(16, "big").hex()
WEBHOOK = "0b5e1f3a-0000-4000-8000-000000000001"
PERIOD = "?from={}&to={}".format(
    *(time.strftime("%Y-%m-%d", time.gmtime(NOW - ago)) for ago in (13 * DAY, 0))
)
PAGES = (
    f"/{PERIOD}",
    f"/{PERIOD}&compare=previous&count=total",
    f"/campaigns{PERIOD}",
    f"/campaigns/{CAMPAIGN}",
    f"/map/{CAMPAIGN}",
    "/map/opening-hours",
    f"/reached/{CAMPAIGN}",
    f"/reached/{CAMPAIGN}?state=clicked&link=0",
    f"/reached/{CAMPAIGN}?state=complained",
    "/messages",
    "/messages?q=nobody@example.org",
    f"/messages/{MESSAGE}",
    "/recipients",
    f"/recipients?address={ADDRESS}",
    f"/recipients/erase?address={ADDRESS}",
    f"/machines{PERIOD}",
    f"/machines/rule/mail-filter{PERIOD}",
    "/machines/try?rule=browser&as=off",
    "/live",
    "/suppression",
    "/domains",
    "/webhooks",
    f"/webhooks/{WEBHOOK}",
    "/access",
    "/pipeline",
)
_CAMPAIGNS = (
    (CAMPAIGN, "Our autumn letter: the lamp burns again", "news@lighthouse.example"),
    ("opening-hours", "We are open on Sundays now", "office@lighthouse.example"),
    ("members-2026", "Your membership card", "members@lighthouse.example"),
)
_LINKS = (
    Link(b"https://lighthouse.example/walks/#dunes", "walks", False, 0, "html"),
    Link(b"https://lighthouse.example/tickets?seats=2", "tickets", False, 1, "html"),
    Link(b"https://lighthouse.example/shop/oil-lamp", "the lamp", False, 2, "html"),
    Link(b"https://lighthouse.example/leave", "leave the list", True, 3, "html"),
)
_LETTER = """<style>h1{font:700 24px Georgia,serif;margin:0 0 12px} a{color:#8a3b12}
p{font:16px/1.5 Georgia,serif;margin:0 0 14px} .foot{font:13px/1.5 sans-serif;color:#666}</style>
<table width="100%" bgcolor="#efe9dd" cellpadding="16"><tr><td align="center">
<table width="560" bgcolor="#fff" cellpadding="24" style="max-width:100%"><tr><td>
<img src="https://lighthouse.example/lamp.jpg" width="512" height="120" alt="The lighthouse at dusk">
<h1>The lamp burns again</h1>
<p>Dear Ida Berg, the lamp is lit. Come and <a href="L0">walk the dunes</a> with us, every Sunday at ten.</p>
<p>Seats are few: <a href="L1" style="background:#8a3b12;color:#fff;padding:6px 14px">Book two seats</a></p>
<p>Or take <a href="L2">a lamp of your own</a> home from the shop.</p>
<p class="foot">You get this letter as a friend. <a href="L3">Leave the list</a></p>
</td></tr></table></td></tr></table>"""
_DOMAINS = ("north.example", "south.example", "mail.example")
_AGENTS = (
    BROWSER,
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))",
    "",
)


def shown_site(folder: Path, mails: int = 26) -> Site:
    """A site with the events of so many mails; 26 make about a hundred. One of each thing is registered."""
    site = make_site(folder, more=f'registry {{ path = "{folder}/registry.db" }}')
    if not mails:
        return site
    rows = [row for number in range(mails) for row in _one_mail(number)]
    add_rows(site, rows)
    site.spool.mkdir(exist_ok=True)
    state = status.ShipperStatus.begun(time.time())
    state.carried = len(rows)
    status.save(site.spool, state)
    _registry(folder)
    return site


def add_rows(site: Site, rows: list[EventRow]) -> None:
    """Write rows into the site's store, figures too."""
    store = open_store(load_file(site.config).store, writing=True)
    try:
        store.add(rows)
        store.roll_up()
    finally:
        store.close()


def hit(of: Injection, kind: Kind, at: int, agent: str, link: Link | None = None) -> Hit:
    """What comes of a request `at` seconds after the mail was taken in."""
    at_ms = of.at_ms + at * 1000
    facts = {"message_id": of.message_id, "recipient": of.recipient, "campaign": of.campaign}
    known: Identity = identity(**facts, issued=of.at_ms // 1000)
    sealed = copy_sealer(KEY, known, "").seal(kind, link).decode("ascii")
    packed = open_token(sealed.encode(), Ring((KEY,))).packed
    return Hit(
        EventIds(at.to_bytes(8, "big")).next(at_ms), kind, at_ms, packed, "", "203.0.113.9",
        agent, "nb-NO", "GET", "track.example.com", spoiled=False, expired=False,
    )  # fmt: skip


def _one_mail(number: int) -> Iterator[EventRow]:
    name, subject, sender = _CAMPAIGNS[(number % 7) % 3]
    day = (number * number if number % 3 == 0 else number) % 13
    mail = an_injection()._replace(
        message_id=(number + 1).to_bytes(16, "big"),
        at_ms=(NOW - (13 - day) * DAY + number * 311) * 1000,
        recipient=f"friend{number}@{_DOMAINS[number % 3]}",
        friendly_from=sender, subject=subject, campaign=name, queue_id=f"4bQ{number}", links=len(_LINKS),
        message_id_header=f"<{number}.letter@lighthouse.example>",
    )  # fmt: skip
    mail = mail._replace(id=EventIds(number.to_bytes(8, "big")).next(mail.at_ms))
    if number == 5:
        mail = mail._replace(outcome="dkim-signed", opens=False, clicks=False)
    elif name == CAMPAIGN:
        mail = _marked(mail)
    yield from rows(mail)
    if number % 11 == 3:
        yield from _became(mail, "bounce", 40, raw_reason="550 5.1.1 no such user here", bounce_class=10)
        return
    if number % 6 == 2:
        yield from _became(
            mail, "delay", 20, raw_reason="451 4.7.1 greylisted, try again later", num_retries=0
        )
    yield from _became(
        mail, "delivery", 65, remote_host="mx." + mail.recipient.partition("@")[2], queue_time=2100
    )
    if number % 4 == 1:
        yield from rows(hit(mail, Kind.CLICK, 70, _AGENTS[2], _LINKS[0]))
        yield from rows(hit(mail, Kind.CLICK, 71, _AGENTS[2], _LINKS[1]))
    if number % 5 != 4 and number != 5:
        yield from rows(hit(mail, Kind.OPEN, 4000 + 300 * number, _AGENTS[(0, 1, 1, 0, 3)[number % 5]]))
    if number % 2 == 0:
        yield from rows(hit(mail, Kind.CLICK, 4100 + 300 * number, BROWSER, _LINKS[(number // 2) % 3]))
    if number % 13 == 10:
        yield from rows(hit(mail, Kind.CLICK, 4300 + 300 * number, BROWSER, _LINKS[3]))


def _marked(mail: Injection) -> Injection:
    """The record as it is where copies are kept: with what its tracked addresses are proved by."""
    issued = int.from_bytes(mail.message_id[:4], "big")
    known = Identity(
        mail.message_id, mail.transmission_id, mail.recipient, issued, NOW, campaign=mail.campaign
    )
    sealer = copy_sealer(KEY, known)
    urls = [click_url("https", "track.example.com", sealer.seal(Kind.CLICK, link)) for link in _LINKS]
    return mail._replace(
        link_base="https://track.example.com", link_key=KEY.id, link_expiry=NOW, link_marks=marks(urls)
    )


def _became(of: Injection, kind: str, after: int, **values: Any) -> Iterator[EventRow]:
    at_ms = of.at_ms + after * 1000
    name = EventIds(after.to_bytes(8, "big")).next(at_ms)
    yield from rows(MessageEvent(name, at_ms, kind, "mx", of.queue_id, 7, **values), injection=of)


def a_copy(campaign: str = CAMPAIGN, html: str = _LETTER, form: str = "form") -> HtmlCopy:
    """The kept copy of a mail with _LINKS, which is not over for years."""
    links = tuple(
        CopiedLink(link.ordinal, link.name, link.target.decode().partition("?")[0]) for link in _LINKS
    )
    copied = copy_of(html, {f"L{link.ordinal}": link.ordinal for link in links}, frozenset({"Ida", "Berg"}))
    subject, sealed = _CAMPAIGNS[0][1], seal([link.target for link in _LINKS], KEY)
    return HtmlCopy(
        "", campaign, form, ADDRESS, subject, NOW * 1000, 4_000_000_000_000, links, copied, sealed
    )


def keep(folder: Path, copy: HtmlCopy) -> None:
    """Put a copy where the shipper puts it."""
    registry = SqliteRegistry(folder / "registry.db")
    try:
        CopyBook(registry).add(copy, NOW * 1000)
    finally:
        registry.close()


def _registry(folder: Path) -> None:
    registry = SqliteRegistry(folder / "registry.db")
    try:
        CopyBook(registry).add(a_copy(), NOW * 1000)
        Users(registry).add("Ida", PASSWORD, Role.LOOKS)
        ApiKeys(registry).add("board", ("metrics/view",))
        book.add(
            registry, Entry(ADDRESS, MailKind.NON_TRANSACTIONAL, Source.MANUALLY_ADDED, "asked by phone")
        )
        TrackingDomains(registry, "").add("links.lighthouse.example", secure=True)
        hooks = Documents(registry)
        endpoint = Endpoint("https://crm.lighthouse.example/events")
        state = State(failures=1, failing_since_ms=NOW * 1000, last_error="503 Service Unavailable")
        hooks.put_webhook(Webhook(WEBHOOK, "crm", endpoint, ("click", "open"), created_ms=NOW * 1000), state)
        states: tuple[BatchState, ...] = (DELIVERED, FAILED)
        for number, became in enumerate(states, 1):
            batch = Batch(f"{number:032x}", number, NOW * 1000, 1, f"body-{number}", 12, "", became)
            hooks.add_batch(WEBHOOK, batch, b"[]")
    finally:
        registry.close()
