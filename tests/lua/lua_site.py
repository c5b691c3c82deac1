"""A Postfix with its hop and a filter whose Lua policy changes from case to case."""

import json
import smtplib
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engagement.events.model import Injection
from engagement.links.model import CLICKS, OPENS
from engagement.links.token import open_token
from engagement.links.urls import read_path
from mta.hop_site import FILTER, HopSite, running
from mta.mta_site import DOMAIN, SMTPAPI, open_folders, until
from mta.site_parts import html_mail
from private_mta.postfix import Smtpd

CASES = Path(__file__).parent
PORT = 8650  # the one that a policy names
_OPTIONS = {
    "virtual_mailbox_domains": "rcpt.test, x.de",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "mynetworks": "127.0.0.0/8, 10.0.0.0/8",
}


@dataclass
class LuaSite:
    """The running site. folder: where a case's files go."""

    hop: HopSite
    folder: Path
    smtp: smtplib.SMTP | None = None  # of the mail before

    def load(self, case: "Case") -> str:
        """Let the filter run with a case's policy. Return "" or, where it does not load, what it says."""
        hop = self.hop
        folder = case.made_in(self.folder)
        listener = f"""
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}" click_tracking_enabled = true open_tracking_enabled = true
  Listen ":{hop.ports["in"]}" {{ }} Listen ":{hop.ports["hop"]}" {{ }} Listen ":{PORT}" {{ }}
}}
rewriting {{ several_recipients = split split_listener = "127.0.0.1:{hop.ports["hop"]}" }}
scriptlet "scriptlet" {{ script "policy" {{ source = "{folder}/policy" }} }}
{case.config(folder)}
"""
        self.hang_up()
        if not hop.filter.ended():
            hop.filter.stop()
        hop.filter.log.write_text("")
        hop.sink.got.clear()
        hop.filter.configure(listener)
        if case.facts.get("refused"):
            command = [str(SMTPAPI), "milter", "--config", str(hop.filter.config)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode != 0
            return done.stderr
        hop.filter.start()
        return ""

    def send(self, mail: Mapping[str, Any]) -> None:
        """Hand a mail in, in the session of the one before if it says so. Raises smtplib's errors."""
        if self.smtp is None or not mail.get("session"):
            self.hang_up()
            self.smtp = self._connected(mail)
        fields = {name.replace("-", "_"): value for name, value in mail.get("fields", {}).items()}
        whole = html_mail(**({"html": mail["html"].encode() + b"\r\n"} if "html" in mail else {}), **fields)
        whole = whole.replace(b"<1@sender.test>", mail.get("message_id", "<1@sender.test>").encode())
        self.smtp.sendmail(mail.get("from", "a@sender.test"), mail["to"], whole)

    def _connected(self, mail: Mapping[str, Any]) -> smtplib.SMTP:
        port = int(mail.get("port") or self.hop.ports["in"])
        smtp = smtplib.SMTP("127.0.0.1", port, local_hostname=mail.get("helo", "client.test"), timeout=30)
        smtp.ehlo()
        if address := mail.get("address"):
            code, answer = smtp.docmd(f"XCLIENT ADDR={address} NAME=client.test")
            assert code == 220, answer
            smtp.ehlo_resp = None
            smtp.ehlo()
        return smtp

    def hang_up(self) -> None:
        """End the session of the mail before."""
        if self.smtp is not None:
            with suppress(smtplib.SMTPException):
                self.smtp.quit()
        self.smtp = None

    def got(self, recipient: str) -> bytes:
        """What came for a recipient."""
        if recipient.endswith("sink.test"):
            return self.hop.sink.wait_for(recipient).message
        self.hop.idle()
        return self.hop.local(recipient)[-1]

    def nothing_for(self, recipients: list[str]) -> bool:
        """Tell whether nothing came for any of these."""
        self.hop.idle()
        return not any(self.hop.sink.all_for(each) for each in recipients)

    def event(self, recipient: str) -> Injection:
        """The injection record of a recipient's newest mail."""
        found: list[Injection] = []

        def came() -> bool:
            found[:] = [each for each in self.hop.filter.injections() if each.recipient == recipient]
            return bool(found)

        until(came, 10, f"an event for {recipient}")
        return found[-1]


@dataclass(frozen=True)
class Case:
    """A case's folder and what its case.json says."""

    folder: Path
    facts: Mapping[str, Any]

    def made_in(self, folder: Path) -> Path:
        """Copy the case's files to where the filter may read them; return that folder."""
        place = folder / self.folder.name
        place.mkdir(exist_ok=True)
        for file in self.folder.glob("**/*.lua"):
            copy = place / file.relative_to(self.folder)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
        for name, script in self.facts.get("tables", {}).items():
            (place / name).unlink(missing_ok=True)
            with closing(sqlite3.connect(place / name)) as table:
                table.executescript(script)
        for name, text in self.facts.get("files", {}).items():
            (place / name).write_text(text)
        return place

    def config(self, folder: Path) -> str:
        return str(self.facts.get("config", "")).replace("{folder}", str(folder))


def cases() -> list[Case]:
    return [Case(file.parent, json.loads(file.read_text())) for file in sorted(CASES.glob("*/case.json"))]


@contextmanager
def lua_site(folder: Path) -> Iterator[LuaSite]:
    open_folders(folder)
    services = Smtpd(PORT, {"smtpd_milters": FILTER}).line()
    with running(folder, options=_OPTIONS, services=services, workers=1) as hop:
        _with_bindings(hop, folder)
        site = LuaSite(hop, folder)
        yield site
        site.hang_up()


def _with_bindings(hop: HopSite, folder: Path) -> None:
    """Let Postfix send by the binding that X-Binding names, as docs/policy-lua.md says; the copy shows it."""
    chosen, seen = folder / "bindings", folder / "bindings_out"
    chosen.write_text(
        f"/^X-Binding: ([^ ]+) ([0-9.]+)$/ FILTER out-$1:[$2]:{hop.ports['sink']}\n"
        f"/^X-Binding: ([^ ]+)$/ FILTER out-$1:[127.0.0.1]:{hop.ports['sink']}\n"
    )
    seen.write_text("/^X-Binding:/ REPLACE X-Went-By: out-b1\n")
    hop.postfix.more_services += f"out-b1 unix - - n - - smtp\n  -o smtp_header_checks=regexp:{seen}\n"
    hop.postfix.configure()
    master = hop.postfix.config / "master.cf"
    none = "-o milter_header_checks="  # of the cleanup of second passes
    master.write_text(master.read_text().replace(none, f"{none}regexp:{chosen}"))
    hop.postfix.reload()


def facts_of(site: LuaSite, mail: bytes, expected: Mapping[str, Any], recipient: str) -> dict[str, Any]:
    """Return what is seen of a delivered mail, as far as the case asks for it."""
    domain = expected.get("domain", DOMAIN)
    found: dict[str, Any] = {}
    opened = []
    for word in mail.replace(b"=\r\n", b"").split(b'"'):
        scheme, sign, rest = word.partition(b"://")
        host, _, path = rest.partition(b"/")
        if sign and host.decode("latin-1") == domain and (read := read_path(b"/" + path)) is not None:
            opened.append(open_token(read.token, site.hop.filter.ring))
            if opened[-1].kind in CLICKS:
                found["scheme"] = scheme.decode()
    found["owner"] = opened[0].identity.recipient if opened else ""
    found["targets"] = [each.link.target.decode() for each in opened if each.link is not None]
    found["has"] = [word for word in expected.get("has", ()) if word.encode() in mail]
    if "sender" in expected:
        found["sender"] = site.hop.sink.wait_for(recipient).sender
        found["event_sender"] = site.event(recipient).sender
        assert found["sender"] == found["event_sender"]
    found["clicks"] = any(each.kind in CLICKS for each in opened)
    found["opens"] = any(each.kind in OPENS for each in opened)
    found["domain"] = domain
    if opened:
        # The life counts from the hour of receipt, as these mails are old (docs/decisions/0007).
        found["expiry"] = round((opened[0].identity.expiry - time.time()) / 86_400) * 86_400
    head = mail.partition(b"\r\n\r\n")[0].decode("latin-1")
    found["received"] = head.count("\r\nReceived:") + head.startswith("Received:")
    names = {line.partition(":")[0].lower() for line in head.splitlines()}
    found["gone"] = [name for name in expected.get("gone", ()) if name.lower() not in names]
    found["fields"] = {
        name: line.partition(":")[2].strip()
        for name in expected.get("fields", ())
        for line in head.splitlines()
        if line.partition(":")[0].lower() == name.lower()
    }
    if "untouched" in expected:
        found["untouched"] = not opened and b"https://shop.example/a?b=1&amp;c=2" in mail
    if not expected.keys().isdisjoint({"campaign", "tags", "metadata", "customer_id", "context"}):
        event = site.event(recipient)
        found["campaign"] = event.campaign
        found["tags"] = list(event.tags)
        found["metadata"] = event.metadata
        found["customer_id"] = event.customer_id
        found["context"] = dict(event.context)
    return found
