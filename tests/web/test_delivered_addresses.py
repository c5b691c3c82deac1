"""The page of a message tells the addresses that stand in the delivered mail, or in words why it does not."""

import csv
import io
import quopri
import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from delivered_mail import delivered, several
from engagement.access.users import Role, Users
from engagement.events.ids import EventIds
from engagement.events.model import Hit
from engagement.events.rows import rows
from engagement.html_copies.tracked_links import Place
from engagement.links.described import describe
from engagement.links.keys import Ring
from engagement.links.ring_file import RingFile, edit_ring, load_ring
from engagement.links.token import open_token
from engagement.links.urls import read_url
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from engagement.stores import open_store
from hop_mail import CLIENT, api, applied
from mta.mta_site import until
from smtpapi.commands import main
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import ALL
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan
from smtpapi.process.worker_services import WorkerServices
from smtpapi.telemetry.counters import Counters
from tracker_web.web.app import create_app
from web.servers import TIMEOUT, make_site
from web.signing_in import HOST, PASSWORD, sign_in

ANN, BOB = "ann@example.net", "bob@example.net"
PARTS = {"html": "HTML", "text": "Text", "amp": "AMP"}
Labels = Mapping[str, Any]
LABELS: Labels = {"campaign_id": "autumn", "tags": ["a", "b"], "metadata": {"name": "Ä", "long": "x" * 90}}
DATE = formatdate(time.time())  # a mail that is sent again within the hour has the same links


class Programs:
    """A site with its filter, shipper and pages."""

    def __init__(self, folder: Path, options: str = "keep_html_days = 9") -> None:
        self.folder = folder
        more = f"""registry {{ path = "{folder}/registry.db" }}
        rewriting {{ added_recipients = shared }}
        ESMTP_Listener {{ tracking_domain = "t.example.net" click_tracking_enabled = true
            click_tracking_scheme = https {options} Listen ":25" {{ }} }}"""
        self.config = make_site(folder, more=more).config
        text = self.config.read_text().replace("token_file =", "recipients_seen_by = manages token_file =")
        self.config.write_text(text)
        self.settings = load_file(self.config)
        self._app = create_app(self.settings)
        self._clients = dict[Role, FlaskClient]()

    @property
    def ring(self) -> Ring:
        return load_ring(self.folder / "keys")

    def send(
        self, recipient: str = ANN, queue_id: str = "Q1", number: int = 1, labels: Labels = LABELS
    ) -> bytes:
        """Send a mail through the filter, and its record to the store; return what is delivered."""
        kind, body = several("quoted-printable")
        values = (("Date", DATE), ("Subject", "Autumn"), ("Message-ID", f"<{number}@example.org>"))
        fields = (kind, *(Field(name, f" {value}".encode()) for name, value in values), api(**labels))
        message = Message(fields, body)
        worker = WorkerServices(
            self.settings, None, RingFile(self.folder / "keys"), Counters.create(1).row(0)
        )
        services = worker.for_sessions()
        result = services.consider(
            Envelope(CLIENT, "news@example.org", (recipient,), queue_id), message, {}, ALL
        )
        assert isinstance(result.outcome, Plan), result.outcome
        services.record(result)
        if services.keep is not None and services.keep(result, message):
            until(lambda: any((self.folder / "spool").glob("*.kept")), TIMEOUT, "a copy of it")
        worker.close()
        done = CliRunner().invoke(main, ["ship", "--once", "--config", str(self.config)])
        assert done.exit_code == 0, done.output
        return applied(message, result.outcome).body

    def page(self, path: str, role: Role = Role.MANAGES) -> TestResponse:
        client = self._client(role)
        for _ in range(60):  # on a busy machine a page may take longer than the server waits for it
            answer = client.get(path, headers=HOST)
            if answer.status_code != 503:
                break
            time.sleep(0.2)
        assert answer.status_code == 200, path
        return answer

    def _client(self, role: Role) -> FlaskClient:
        if role not in self._clients:
            registry = SqliteRegistry(self.folder / "registry.db")
            Users(registry).add(role.value, PASSWORD, role)
            registry.close()
            self._clients[role] = client = self._app.test_client()
            assert sign_in(client, role.value).status_code == 303
        return self._clients[role]

    def rows(self, message: str, role: Role = Role.MANAGES) -> list[dict[str, str]]:
        """The table of links; its two exports are the same."""
        path = f"/messages/{message}?table=message-links&export="
        found: list[dict[str, str]] = self.page(f"{path}json", role).get_json()
        assert list(csv.DictReader(io.StringIO(self.page(f"{path}csv", role).text))) == found
        return found

    def addresses(self, message: str) -> dict[tuple[str, str, str], tuple[str, str]]:
        return {
            (row["part"], row["ordinal"], row["link"]): (row["target"], row["address"])
            for row in self.rows(message)
        }


def in_mail(body: bytes, ring: Ring) -> tuple[str, dict[tuple[str, str, str], tuple[str, str]]]:
    """The id of a delivered message, and its links as the page is to tell them."""
    found: Mapping[Place, tuple[str, str]] = delivered(body + quopri.decodestring(body), ring)
    links = {(PARTS[at.part], str(at.ordinal + 1), at.name): both for at, both in found.items()}
    assert {part for part, _, _ in links} == {"HTML", "Text", "AMP"}
    return message_of(body, ring), links


def message_of(body: bytes, ring: Ring) -> str:
    address = next(iter(delivered(body + quopri.decodestring(body), ring).values()))[1]
    return str(describe(address, ring, 0)["message_id"])


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("delivered"))


def test_addresses_are_those_of_the_delivered_mail(programs: Programs) -> None:
    """Of each part, with names and labels, for each recipient, of a mail sent again, after a rotation."""
    sent = [programs.send(), programs.send(queue_id="Q2"), programs.send(BOB, "Q3")]
    assert sent[0] == sent[1] != sent[2]
    edit_ring(programs.folder / "keys", lambda ring: ring.rotated(b"n" * 32, int(time.time())))
    sent += [
        programs.send(number=2, queue_id="Q4"),
        programs.send(queue_id="Q5", number=3, labels={"campaign_id": "b"}),
    ]
    seen = set()
    for body in sent:
        message, there = in_mail(body, programs.ring)
        assert programs.addresses(message) == there
        seen.add(message)
    assert len(seen) == 4


def test_an_address_is_text_and_no_link(programs: Programs) -> None:
    message, there = in_mail(programs.send(number=4), programs.ring)
    page = BeautifulSoup(programs.page(f"/messages/{message}").data, "html.parser")
    shown = {each.get_text() for each in page.select("td.of-address code")}
    assert shown == {address for _, address in there.values()}
    assert not [each for each in page.select("[href], [src]") if "/f/" in str(each)]
    assert "counts as a click of the recipient" in page.get_text()


def test_who_may_not_see_recipients_sees_no_address(programs: Programs) -> None:
    message, there = in_mail(programs.send(number=5), programs.ring)
    assert all("address" not in row for row in programs.rows(message, Role.LOOKS))
    page = programs.page(f"/messages/{message}", Role.LOOKS).text
    assert not any(address in page for _, address in there.values())
    assert "/f/" not in page


def test_where_it_cannot_be_computed_words_say_so(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    message, there = in_mail(programs.send(), programs.ring)
    assert programs.addresses(message) == there
    keys = programs.folder / "keys"
    whole = keys.read_bytes()
    edit_ring(keys, lambda ring: ring.rotated(b"n" * 32, 2).revoked(7))
    texts = {address for _, address in programs.addresses(message).values()}
    assert texts == {"not known: its key is not in the key ring"}
    keys.unlink()
    texts = {address for _, address in programs.addresses(message).values()}
    assert texts == {"not known: this program may not read the key ring"}
    keys.write_bytes(whole)
    keys.chmod(0o600)
    assert programs.addresses(message) == there
    registry = SqliteRegistry(tmp_path / "registry.db")
    for document in registry.find("kept_html"):
        registry.delete("kept_html", document.key)
    registry.close()
    assert programs.addresses(message) == {}
    assert "7 more links of it are tracked" in programs.page(f"/messages/{message}").text


@pytest.mark.parametrize(
    ("options", "labels"),
    [("", {}), ("keep_html_days = 9", {"options": {"transactional": True}, "campaign_id": "autumn"})],
)
def test_of_mail_of_which_nothing_is_kept_words_say_so(tmp_path: Path, options: str, labels: Labels) -> None:
    programs = Programs(tmp_path, options)
    body = programs.send(labels=labels)
    ring = programs.ring
    message = message_of(body, ring)
    assert programs.rows(message) == []
    click(programs, body)
    (row,) = programs.rows(message)
    assert (row["address"], row["clicked_by"]) == ("not known: nothing was kept of it", "unsure")
    assert row["target"].startswith("http")


def click(programs: Programs, body: bytes) -> None:
    """Follow the first link of a mail."""
    address = next(iter(delivered(body + quopri.decodestring(body), programs.ring).values()))[1]
    requested = read_url(address.encode())
    assert requested is not None
    opened = open_token(requested.token, programs.ring)
    now = int(time.time() * 1000)
    hit = Hit(
        EventIds(bytes(8)).next(now), opened.kind, now, opened.packed, "", "203.0.113.9", "", "", "GET",
        "t.example.net", spoiled=False, expired=False,
    )  # fmt: skip
    store = open_store(programs.settings.store, writing=True)
    store.add(list(rows(hit)))
    store.close()
