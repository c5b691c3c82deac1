"""One click, from a mail as it arrives to the suppression list: real MTA, OpenDKIM, tracker and shipper."""

import email
import email.policy
import re
import smtplib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import dkim
import pytest

from engagement.registry.sqlite import SqliteRegistry
from engagement.stores.port import Query
from engagement.stores.sqlite.store import SqliteStore
from engagement.suppression import book
from mta import hop_site, sendmail_site
from mta.hop_site import FILTER
from mta.mta_site import DOMAIN, SMTPAPI, Filter, free_port, until
from mta.opendkim import Keys, signing
from mta.site_parts import html_mail
from mta.smtp_sink import Sink
from web import servers

pytestmark = pytest.mark.mta

FIELDS = ("list-unsubscribe", "list-unsubscribe-post")
# What docs/unsubscribe.md tells OpenDKIM's operators to write.
SIGN = "SignHeaders *,+List-Unsubscribe-Post\nOversignHeaders From,List-Unsubscribe,List-Unsubscribe-Post"


class Mta(Protocol):
    filter: Filter
    sink: Sink

    def send(self, recipients: Sequence[str], message: bytes) -> Any: ...


@dataclass
class Site:
    """mta: Postfix or Sendmail, before a sink. port: of the tracker."""

    mta: Mta
    keys: Keys
    port: int

    def got(self, recipient: str, message: bytes) -> bytes:
        self.mta.send([recipient], message)
        return self.mta.sink.wait_for(recipient).message

    def refused(self, recipient: str, message: bytes) -> bool:
        """Whether a mail is refused in SparkPost's words; it is taken otherwise."""
        text = b"5.7.1 recipient address was suppressed due to customer policy: List Unsubscribe"
        refusals = []
        try:
            self.mta.send([recipient], message)
        except smtplib.SMTPDataError as error:
            refusals.append((error.smtp_code, error.smtp_error))
        assert refusals in ([], [(554, text)])
        return bool(refusals)

    def ship(self) -> None:
        subprocess.run(
            [SMTPAPI, "ship", "--once", "--config", self.mta.filter.config], check=True, timeout=120
        )

    def entries(self, recipient: str) -> list[tuple[str, str, str]]:
        registry = SqliteRegistry(self.mta.filter.folder / "registry.db")
        try:
            found = book.get(registry, recipient)
            return [(each.type.value, each.source.value, each.list_id) for each in found]
        finally:
            registry.close()

    def events(self, recipient: str) -> list[str]:
        store = SqliteStore(self.mta.filter.folder / "events.db")
        try:
            return [str(each["type"]) for each in store.find(Query(recipients=(recipient,)))]
        finally:
            store.close()


def more(folder: Path, port: int) -> str:
    return f"""
tracker {{ listen = "127.0.0.1:{port}" workers = 1 sender = "Example Ltd." }}
store {{ path = "{folder}/filter/events.db" }} registry {{ path = "{folder}/filter/registry.db" }}
suppression {{ snapshot = "{folder}/filter/suppressed.snapshot" }}
ESMTP_Listener {{
  list_unsubscribe_enabled = true list_unsubscribe_mailto = "leave@sender.test" suppression_action = refuse
}}
"""


@contextmanager
def tracker(config: Path, port: int) -> Iterator[None]:
    program = [sys.executable, "-m", "tracker_web", "--config", str(config)]
    process = subprocess.Popen(program, start_new_session=True)
    try:
        servers.wait_for_port(port, process)
        yield
    finally:
        servers.stop(process)


@contextmanager
def postfix(folder: Path, keys: Keys) -> Iterator[Site]:
    port = free_port()
    signer = " { unix:milter/opendkim.sock, default_action=tempfail }"
    with hop_site.running(folder, milters=FILTER + signer, more=more(folder, port)) as mta:
        socket = mta.postfix.milter_socket.with_name("opendkim.sock")
        with signing(folder, keys, socket, SIGN), tracker(mta.filter.config, port):
            yield Site(mta, keys, port)


@contextmanager
def sendmail(folder: Path, keys: Keys) -> Iterator[Site]:
    port, path = free_port(), folder / "opendkim.sock"
    signer = f"INPUT_MAIL_FILTER(`opendkim', `S=local:{path}, F=T')dnl"
    rewriting, stanzas = sendmail_site.READDRESS, more(folder, port)
    with (
        signing(folder, keys, path, SIGN),
        sendmail_site.running(folder, rewriting, signer, filter_more=stanzas) as mta,
        tracker(mta.filter.config, port),
    ):
        yield Site(mta, keys, port)


@pytest.fixture(scope="module", params=[postfix, sendmail], ids=["postfix", "sendmail"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with request.param(tmp_path_factory.mktemp("unsubscribe"), Keys()) as one:
        yield one


def one_click(message: bytes) -> tuple[str, str]:
    """Path of the https address and the body to post, as the library's parser finds them."""
    found = email.message_from_bytes(message, policy=email.policy.default)
    (value,), (body,) = found.get_all("List-Unsubscribe", []), found.get_all("List-Unsubscribe-Post", [])
    first, second = (url.strip()[1:-1] for url in value.split(","))
    assert second.startswith("mailto:leave@sender.test?subject=unsubscribe%20")
    place = urlsplit(first)
    assert (place.scheme, place.netloc, body) == ("https", DOMAIN, "List-Unsubscribe=One-Click")
    return place.path, body


def post(site: Site, path: str, body: str = "") -> servers.Answer:
    head = f"POST {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return servers.parse(servers.raw(site.port, head.encode() + body.encode()))


def signed(keys: Keys, message: bytes) -> set[str]:
    """The fields that the site's signature covers; it holds, as dkimpy sees it."""
    assert keys.selectors(message) == ["site"]
    (value,) = (value for name, value in dkim.DKIM(message).headers if name.lower() == b"dkim-signature")
    found = re.search(rb"\bh=([^;]+)", value)
    assert found is not None
    return {name.strip().lower() for name in found[1].decode().split(":")}


def test_both_fields_are_signed_and_no_copy_can_be_changed_unseen(site: Site) -> None:
    message = site.got("ann@sign.sink.test", html_mail())
    assert set(FIELDS) <= signed(site.keys, message)
    path, _ = one_click(message)
    for old, new in ((path.encode(), b"/f/a/other"), (b"=One-Click", b"=Two-Clicks")):
        assert not dkim.DKIM(message.replace(old, new)).verify(dnsfunc=site.keys.lookup)


def test_each_of_several_recipients_gets_their_own(site: Site) -> None:
    people = [f"{who}@several.sink.test" for who in ("ann", "bob", "cyd")]
    site.mta.send(people, html_mail())
    paths = set()
    for who in people:
        message = site.mta.sink.wait_for(who).message
        assert set(FIELDS) <= signed(site.keys, message)
        path, _ = one_click(message)
        paths.add(path)
        page = servers.fetch(site.port, path, host=DOMAIN)
        assert (page.status, who.encode() in page.body) == (200, True)
    assert len(paths) == len(people)


def test_one_click_is_an_entry_and_an_event_and_undo_removes_it(site: Site) -> None:
    who = "ann@click.sink.test"
    path, body = one_click(site.got(who, html_mail(List_Id="News <news.sender.test>")))
    for method in ("GET", "HEAD", "OPTIONS"):
        servers.fetch(site.port, path, method, DOMAIN)
    site.ship()
    assert site.entries(who) == []
    for _ in range(2):
        answer = post(site, path, body)
        assert (answer.status, answer.body) == (200, b"")
    site.ship()
    assert site.entries(who) == [("non_transactional", "List Unsubscribe", "news.sender.test")]
    assert site.events(who).count("list_unsubscribe") == 2

    page = servers.fetch(site.port, path, host=DOMAIN)
    for word in (who, "News (news.sender.test)", "Example Ltd.", "?list", "?all"):
        assert word.encode() in page.body
    done = post(site, f"{path}?all")
    site.ship()
    assert ("non_transactional", "List Unsubscribe", "") in site.entries(who)
    undo = re.search(rb'action="\?(undo=[^"]+)"', done.body)
    assert undo is not None
    assert post(site, f"{path}?{undo[1].decode()}").status == 200
    site.ship()
    assert site.entries(who) == [("non_transactional", "List Unsubscribe", "news.sender.test")]


def test_next_mail_is_refused_and_comes_again_after_the_undo(site: Site) -> None:
    who = "ann@next.sink.test"
    news, order = html_mail(), html_mail(X_MSYS_API='{"options": {"transactional": true}}')
    path, body = one_click(site.got(who, news))
    assert post(site, path, body).status == 200
    site.ship()
    until(lambda: site.refused(who, news), 20, "the filter to have the list")
    assert not site.refused(who, order)
    undo = re.search(rb'action="\?(undo=[^"]+)"', post(site, f"{path}?all").body)
    assert undo is not None
    assert post(site, f"{path}?{undo[1].decode()}").status == 200
    site.ship()
    assert site.entries(who) == []
    until(lambda: not site.refused(who, news), 20, "the filter to have the list")


def test_only_mail_of_the_list_that_was_left_is_refused(site: Site) -> None:
    who = "ann@lists.sink.test"
    one, other = (html_mail(List_Id=f"<{name}.sender.test>") for name in ("one", "other"))
    path, body = one_click(site.got(who, one))
    post(site, path, body)
    site.ship()
    until(lambda: site.refused(who, one), 20, "the filter to have the list")
    assert not site.refused(who, other)
    assert not site.refused(who, html_mail())


def test_transactional_mail_and_mail_with_its_own_get_none(site: Site) -> None:
    copy = site.got("ann@order.sink.test", html_mail(X_MSYS_API='{"options": {"transactional": true}}'))
    own = site.got("ann@own.sink.test", html_mail(List_Unsubscribe="<https://sender.test/leave>"))
    parsed = [email.message_from_bytes(each, policy=email.policy.default) for each in (copy, own)]
    assert [each.get_all("List-Unsubscribe") for each in parsed] == [None, ["<https://sender.test/leave>"]]
    assert [each.get_all("List-Unsubscribe-Post") for each in parsed] == [None, None]


def test_without_the_line_of_our_page_opendkim_leaves_one_field_unsigned(tmp_path: Path) -> None:
    keys, path, port = Keys(), tmp_path / "opendkim.sock", free_port()
    signer = f"INPUT_MAIL_FILTER(`opendkim', `S=local:{path}, F=T')dnl"
    stanzas = more(tmp_path, port)
    site = sendmail_site.running(tmp_path, sendmail_site.READDRESS, signer, filter_more=stanzas)
    with signing(tmp_path, keys, path), site as mta:
        mta.send(["ann@sink.test"], html_mail())
        covered = signed(keys, mta.sink.wait_for("ann@sink.test").message)
    assert [name in covered for name in FIELDS] == [True, False]


@pytest.mark.parametrize(
    ("fields", "covered"),
    [
        (None, [True, False]),
        ([b"From", b"List-Unsubscribe", b"List-Unsubscribe-Post"], [True, True]),
    ],
)
def test_dkimpy_by_default_leaves_the_same_field_unsigned(
    fields: list[bytes] | None, covered: list[bool]
) -> None:
    keys = Keys()
    message = html_mail(
        List_Unsubscribe="<https://sender.test/>", List_Unsubscribe_Post="List-Unsubscribe=One-Click"
    )
    pem = keys.make("site", "sender.test")
    signature = dkim.sign(message, b"site", b"sender.test", pem, include_headers=fields)
    found = signed(keys, signature + message)
    assert [name in found for name in FIELDS] == covered
