"""A Postfix in which mail comes back: filters before and after the queue, pipes, list servers, fetchmail.

The smtpds play any client (XCLIENT), and the programs mail comes back by are threads of the test: scripts
that Postfix runs put mail into a folder, from which it is handed in again as root, by sendmail(1) or SMTP.
"""

import contextlib
import smtplib
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message as Mail
from email.parser import BytesParser
from email.policy import compat32
from pathlib import Path

from mta.mta_site import DOMAIN, Filter, free_port, open_folders, until
from mta.site_parts import need_postfix
from private_mta.postfix import PrivatePostfix, Smtpd

MILTER = "{ unix:milter/milter.sock, content_timeout=20s, default_action=tempfail }"
_SCRIPT = """#!/bin/sh
umask 0
file=$(mktemp {drop}/.XXXXXX) || exit 75
{{ echo "$1 ${{2:-$SENDER}} ${{3:-$EXTENSION@rcpt.test}}"; cat; }} > "$file" || exit 75
chmod 666 "$file" && mv "$file" {drop}/"$1.$$"
"""
_SERVICES = """
local unix - n n - - local
flt   unix - - n - 20 smtp
  -o smtp_send_xforward_command=yes
pipes unix - n n - 10 pipe
  flags=Rq user=nobody null_sender= argv={script} transport ${{sender}} ${{recipient}}
"""
_DELIVERED = ("Delivered-To", "X-Original-To", "Return-Path")


@dataclass(frozen=True)
class Sender:
    """Who connects: address and login as XCLIENT tells them, "" for what is the case."""

    address: str = ""
    login: str = ""
    helo: str = "client.test"


STRANGER = Sender("203.0.113.9")


@dataclass
class Layouts:
    postfix: PrivatePostfix
    filter: Filter
    ports: Mapping[str, int]
    found: dict[str, list[bytes]] = field(default_factory=dict)  # by recipient

    def send(self, port: str, sender: Sender, recipient: str, mail: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.ports[port], local_hostname=sender.helo, timeout=30) as smtp:
            smtp.ehlo()
            attributes = f" ADDR={sender.address} NAME=client.test" if sender.address else ""
            attributes += f" LOGIN={sender.login}" if sender.login else ""
            if attributes:
                code, answer = smtp.docmd("XCLIENT" + attributes)
                assert code == 220, answer
                smtp.ehlo_resp = None
                smtp.ehlo()
            smtp.sendmail("a@sender.test", [recipient], mail)

    def sendmail(self, mail: bytes, recipient: str, *arguments: str) -> None:
        """By the sendmail command."""
        subprocess.run(
            [
                "/usr/sbin/sendmail", "-C", str(self.postfix.config), *arguments,
                "-f", "a@sender.test", recipient,
            ],
            input=mail.replace(b"\r\n", b"\n"), check=True, timeout=30,
        )  # fmt: skip

    def settle(self) -> None:
        """Wait until nothing is under way, then read the Maildir."""
        until(lambda: self.postfix.queued() == 0, 60, f"an empty queue: {self.postfix.last_lines(10)}")
        self.found.clear()
        for file in self.postfix.delivered():
            raw = file.read_bytes()
            to = raw.partition(b"X-Original-To: ")[2].partition(b"\n")[0].decode()
            self.found.setdefault(to, []).append(raw)

    def log_lines(self, recipient: str) -> list[str]:
        """What the filter said of a recipient's mail."""
        return [line for line in self.filter.log_text().splitlines() if f"to=<{recipient}>" in line]


Again = Callable[[Layouts, Mail, str], None]


def _by_smtp(port: str, sender: Sender = Sender()) -> Again:
    return lambda site, mail, to: site.send(port, sender, to, mail.as_bytes(policy=_crlf))


def _by_sendmail(*arguments: str) -> Again:
    return lambda site, mail, to: site.sendmail(mail.as_bytes(policy=_crlf), to, *arguments)


_crlf = compat32.clone(linesep="\r\n", max_line_length=None)


def _without(mail: Mail, *names: str) -> Mail:
    for name in names:
        del mail[name]
    return mail


def _above(mail: Mail, name: str, value: str) -> Mail:
    mail._headers.insert(0, (name, value))  # type: ignore[attr-defined] # a Mail only adds at the end
    return mail


def _last_of_each(mail: Mail) -> Mail:
    """What a script makes that holds a header in a dict."""
    last = dict(mail.items())
    fields = [(name, value) for name, value in last.items() if name not in ("Delivered-To", "X-Original-To")]
    delivered = [(name, last[name]) for name in ("Delivered-To",) if name in last]
    mail._headers = [*delivered, *fields]  # type: ignore[attr-defined] # a Mail cannot put its fields in order
    return mail


_BY_LMTP = (
    "from mail.example.test\n\tby mail.example.test with LMTP\n\tid 1 (envelope-from <a@sender.test>);"
    " Sun, 29 Nov 2026 10:00:00 +0000"
)
_BY_POP = (
    "from pop.isp.test [192.0.2.33]\n\tby localhost with POP3 (fetchmail-6.4.37)\n\tfor <me@localhost>"
    " (single-drop); Sun, 29 Nov 2026 10:00:00 +0000"
)


def _sieve(site: Layouts, mail: Mail, to: str) -> None:
    _above(_without(mail, *_DELIVERED), "Received", _BY_LMTP)
    _by_sendmail("-i")(site, _above(mail, "X-Sieve-Redirected-From", "me@rcpt.test"), to)


def _mailman(site: Layouts, mail: Mail, to: str) -> None:
    _above(_above(mail, "List-Id", "<list.rcpt.test>"), "X-BeenThere", "list@rcpt.test")
    _by_smtp("all")(site, mail, to)


def _ezmlm(site: Layouts, mail: Mail, to: str) -> None:
    _without(mail, "Received", *_DELIVERED)
    _by_smtp("all")(site, _above(mail, "Mailing-List", "list-help@rcpt.test; run by ezmlm"), to)


def _listing_with_login(site: Layouts, mail: Mail, to: str) -> None:
    _by_smtp("all", Sender("198.51.100.7", "lists"))(site, _without(mail, *_DELIVERED), to)


def _fetchmail(site: Layouts, mail: Mail, to: str) -> None:
    _by_smtp("all")(site, _above(_without(mail, *_DELIVERED), "Received", _BY_POP), to)


# What the programs do with a mail that Postfix delivers to them.
PROGRAMS: dict[str, Again] = {
    "transport": _by_sendmail("-G", "-i"),
    "alias": _by_sendmail("-G", "-i"),
    "smtp": _by_smtp("all"),
    "submission": lambda site, mail, to: _by_smtp("submission")(site, _without(mail, *_DELIVERED), to),
    "sieve": _sieve,
    "mailman": _mailman,
    "list-that-strips": _ezmlm,
    "list-that-logs-in": _listing_with_login,
    "script-that-strips": lambda site, mail, to: _by_sendmail("-i")(site, _without(mail, "Received"), to),
    "script-with-a-dict": lambda site, mail, to: _by_sendmail("-i")(site, _last_of_each(mail), to),
    "fetchmail": _fetchmail,
}


class _Content(socketserver.ThreadingTCPServer):
    """A content filter like amavis: takes mail by SMTP, adds a field, gives it back to another smtpd."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, back: int) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.back = back


class _Session(socketserver.StreamRequestHandler):
    server: _Content

    def handle(self) -> None:
        self._say(b"220 filter.test")
        sender, to = "", list[str]()
        while line := self.rfile.readline():
            path = line.partition(b"<")[2].partition(b">")[0].decode()
            match line[:4].upper():
                case b"EHLO":
                    self._say(b"250-filter.test\r\n250 XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT")
                case b"MAIL":
                    sender, to = path, []
                    self._say(b"250 ok")
                case b"RCPT":
                    to.append(path)
                    self._say(b"250 ok")
                case b"DATA":
                    self._say(b"354 go on")
                    self._say(self._given_back(sender, to, self._data()))
                case b"QUIT":
                    self._say(b"221 bye")
                    return
                case _:
                    self._say(b"250 ok")

    def _data(self) -> bytes:
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(line[1:] if line.startswith(b"..") else line for line in lines)

    def _given_back(self, sender: str, to: list[str], data: bytes) -> bytes:
        trace = (
            b"Received: from mail.example.test ([127.0.0.1])\r\n\tby localhost (filter.test [127.0.0.1])"
            b" (amavisd-new, port 10024)\r\n\twith ESMTP id x; Sun, 29 Nov 2026 10:00:00 +0000\r\n"
        )
        try:
            with smtplib.SMTP("127.0.0.1", self.server.back, timeout=30) as back:
                back.sendmail(sender, to, trace + data)
        except smtplib.SMTPException:
            return b"554 refused behind the filter"
        return b"250 given back"

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")
        self.wfile.flush()


def _programs(site: Layouts, drop: Path, stop: threading.Event) -> None:
    """Hands in again what the scripts put into the folder."""
    while not stop.is_set():
        for file in sorted(drop.glob("[!.]*")):
            head, _, raw = file.read_bytes().partition(b"\n")
            kind, _, to = head.decode().split(" ")
            if raw.startswith(b"From "):
                raw = raw.partition(b"\n")[2]
            # A mail stays in the folder, and so not forgotten, until it is in Postfix's queue again.
            with contextlib.suppress(smtplib.SMTPException):  # refused: the cell's test misses its mail
                PROGRAMS[kind](site, BytesParser(policy=compat32).parsebytes(raw), to)
            file.unlink()
        time.sleep(0.02)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Layouts]:
    need_postfix()
    open_folders(folder)
    names = ("all", "bare", "after", "after-bare", "before", "piped", "piped-bare", "held", "submission")
    more = ("hop", "back", "content", "front-alone", "back-alone", "content-alone")
    ports = {name: free_port() for name in (*names, *more)}
    drop, script = folder / "drop", folder / "script"
    drop.mkdir()
    drop.chmod(0o777)
    script.write_text(_SCRIPT.format(drop=drop))
    script.chmod(0o755)
    options: dict[str, dict[str, str]] = {
        "all": {},
        "bare": {"smtpd_milters": ""},
        "after": {"content_filter": f"flt:[127.0.0.1]:{ports['content']}"},
        "after-bare": {"content_filter": f"flt:[127.0.0.1]:{ports['content']}", "smtpd_milters": ""},
        "before": {"smtpd_proxy_filter": f"127.0.0.1:{ports['content']}"},
        "piped": {"content_filter": "pipes:dummy"},
        "piped-bare": {"content_filter": "pipes:dummy", "smtpd_milters": ""},
        "front-alone": {"smtpd_proxy_filter": f"127.0.0.1:{ports['content-alone']}"},
        "back-alone": {"smtpd_milters": "", "smtpd_authorized_xforward_hosts": "127.0.0.0/8"},
        "held": {"smtpd_milters": "", "smtpd_client_restrictions": "check_client_access static:hold"},
        "submission": {},
        "back": {"content_filter": "", "smtpd_authorized_xforward_hosts": "127.0.0.0/8"},
    }
    (folder / "aliases").write_text("".join(f'{name} "|{script} {name}"\n' for name in PROGRAMS))
    restrictions = "permit_mynetworks, permit_sasl_authenticated, permit_auth_destination, reject"
    postfix = PrivatePostfix(
        folder / "postfix",
        [Smtpd(ports[name], given) for name, given in options.items()],
        maildir=folder / "maildir",
        options={
            "inet_protocols": "all",
            "smtpd_milters": MILTER,
            "non_smtpd_milters": MILTER,
            "smtpapi_hop_milters": MILTER,
            "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
            "smtpd_relay_restrictions": restrictions,
            "smtpd_recipient_restrictions": restrictions,
            "virtual_mailbox_domains": "rcpt.test",
            "mydestination": "pipe.test",
            "alias_maps": f"texthash:{folder}/aliases",
            "recipient_delimiter": "+",
            "queue_run_delay": "1s",
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "1s",
        },
        hop_port=ports["hop"],
    )
    postfix.more_services = _SERVICES.format(script=script)
    listens = " ".join(f'Listen ":{port}" {{ }}' for port in ports.values())
    config = f"""
Relay_Hosts = ( "127.0.0.0/8" "::1/128" "10.0.0.0/8" )
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}" click_tracking_enabled = true open_tracking_enabled = true
  {listens}
}}
rewriting {{ several_recipients = split split_listener = "127.0.0.1:{ports["hop"]}" }}
"""
    site = Layouts(
        postfix,
        Filter(folder / "filter", config, workers=2, socket_path=postfix.milter_socket),
        ports,
    )
    stop = threading.Event()
    filters = [
        _Content(ports["content"], ports["back"]),
        _Content(ports["content-alone"], ports["back-alone"]),
    ]
    with postfix, site.filter:
        for content in filters:
            threading.Thread(target=content.serve_forever, args=(0.05,), daemon=True).start()
        programs = threading.Thread(target=_programs, args=(site, drop, stop), daemon=True)
        programs.start()
        try:
            yield site
        finally:
            stop.set()
            programs.join(10)
            for content in filters:
                content.shutdown()
                content.server_close()
