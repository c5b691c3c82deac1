"""Mail in bulk, and the judge of what was delivered: each copy whole, each person's their own, none lost.

It uses no code of the filter but the opening of tokens: what a copy must be is derived from what was sent.
"""

import hashlib
import random
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engagement.links.keys import Ring
from engagement.links.model import CLICKS, OPENS, Opened
from engagement.links.token import BadToken, open_token
from engagement.links.urls import read_path

_URL = rb"https?://track\.example\.test/[^\s\"'<>]+"
_TRACKED = re.compile(_URL)
_PIXEL = re.compile(rb'<img [^<>]*src="' + _URL + rb'"[^<>]*>')
_OURS = re.compile(rb"(?i)^(?:X-MSYS-API|X-Smtpapi-Split):", re.MULTILINE)
_MARK = re.compile(rb"(?mi)^X-Smtpapi-Id: ([0-9a-f]{32}) ")
_ORIGINAL = re.compile(rb"(?m)^X-Original-To: (.*)$")
_SUBJECT = re.compile(rb"(?m)^Subject: load (\S+)$")

LINKS = 6
HEADER = '{"campaign_id": "load", "metadata": {"number": "%s"}}'


@dataclass(frozen=True)
class Mail:
    """One mail as it is sent. body: with LF, as it is delivered if nothing changes it."""

    name: str
    recipients: tuple[str, ...]
    body: bytes
    with_header: bool = True  # it carries X-MSYS-API

    def message(self) -> bytes:
        head = f"From: a@sender.test\r\nTo: list@rcpt.test\r\nSubject: load {self.name}\r\n"
        head += f"Message-ID: <{self.name}@sender.test>\r\nMIME-Version: 1.0\r\n"
        head += "Content-Type: text/html; charset=utf-8\r\n"
        head += f"X-MSYS-API: {HEADER % self.name}\r\n" if self.with_header else ""
        return head.encode() + b"\r\n" + self.body.replace(b"\n", b"\r\n")


def mail(name: str, recipients: int, size: int = 3000, domain: str = "rcpt.test") -> Mail:
    """A mail with LINKS links from its first to its last octets, of about that size."""
    filling = max(0, size // LINKS - 100)
    lines = [f"<p>{hashlib.sha256(f'{name}{number}'.encode()).hexdigest()}</p>\n" for number in range(LINKS)]
    parts = [
        f'<a href="https://shop.example/{name}/{number}?a=1&amp;b={name}">{name} {number}</a>\n'
        + lines[number] * (filling // len(lines[number]) + 1)
        for number in range(LINKS - 1)
    ]
    last = f'<a href="https://shop.example/{name}/last">the last of {name}</a></body></html>\n'
    body = "<html><body>\n" + "".join(parts) + last
    people = tuple(f"u{number}.{name}@{domain}" for number in range(recipients))
    return Mail(name, people, body.encode())


def sizes(rng: random.Random) -> int:
    """Mostly small, some with a body of several milter packets (65,535 octets)."""
    return rng.choice((1500, 3000, 9000, 30_000, 160_000))


@dataclass
class Sent:
    """What clients were told. accepted: mails with 250. refused: 4xx, retried. unsure: no answer came."""

    accepted: dict[str, Mail] = field(default_factory=dict)
    temporary: Counter[str] = field(default_factory=Counter)
    permanent: list[str] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    given_up: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def _attempt(
    client: smtplib.SMTP | None, port: int, item: Mail, sent: Sent
) -> tuple[smtplib.SMTP | None, bool]:
    """One try; the connection to go on with, and whether the mail is done with."""
    data_begun = False
    try:
        if client is None:
            client = smtplib.SMTP("127.0.0.1", port, local_hostname="load.test", timeout=60)
            client.ehlo()
        for command, argument in [("mail", "a@sender.test"), *(("rcpt", who) for who in item.recipients)]:
            code, _ = getattr(client, command)(argument)
            if code >= 400:
                return _answered(client, code, item, sent)
        data_begun = True
        code, _ = client.data(item.message())
        return _answered(client, code, item, sent)
    except smtplib.SMTPDataError as error:  # the answer to DATA itself
        return _answered(client, error.smtp_code, item, sent)
    except (smtplib.SMTPException, OSError):
        with sent.lock:
            sent.temporary["connection"] += 1
            if data_begun:
                sent.unsure.add(item.name)
        if client is not None:
            client.close()
        return None, False


def _answered(
    client: smtplib.SMTP | None, code: int, item: Mail, sent: Sent
) -> tuple[smtplib.SMTP | None, bool]:
    with sent.lock:
        if code < 400:
            sent.accepted[item.name] = item
            return client, True
        if code >= 500:
            sent.permanent.append(item.name)
            return client, True
        sent.temporary[str(code)] += 1
    return client, False


def send(port: int, mails: Iterable[Mail], sent: Sent, stop: Callable[[], bool] = lambda: False) -> None:
    """Sends mails one after the other, each until it is answered with 2xx or 5xx, ten on a connection."""
    client: smtplib.SMTP | None = None
    for number, item in enumerate(mails):
        done = False
        while not done:
            client, done = _attempt(client, port, item, sent)
            if not done:
                if client is not None:
                    client.close()  # Postfix gives up a milter for the whole session once it failed
                    client = None
                if stop():
                    sent.given_up.append(item.name)
                    break
                time.sleep(0.1)
        if client is not None and number % 10 == 9:
            client.close()
            client = None
        if stop():
            break
    if client is not None:
        client.close()


def sessions(port: int, count: int, mails: Callable[[int], Iterable[Mail]], sent: Sent,
             stop: Callable[[], bool] = lambda: False) -> list[threading.Thread]:  # fmt: skip
    """Starts so many clients at once; mails gives each its own."""
    threads = [
        threading.Thread(target=send, args=(port, mails(number), sent, stop), daemon=True)
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    return threads


@dataclass
class Verdict:
    """What was found in a Maildir. faults: one line each; empty if every promise was kept."""

    copies: Counter[str] = field(default_factory=Counter)  # old, new
    faults: list[str] = field(default_factory=list)


def judge(files: Iterable[Path], sent: Sent, ring: Ring) -> Verdict:
    """Each accepted mail once for each of its recipients, each copy wholly old or wholly new, and theirs."""
    verdict = Verdict()
    seen: Counter[tuple[str, str]] = Counter()
    ids: dict[bytes, str] = {}
    everything = dict(sent.accepted)
    for file in files:
        raw = file.read_bytes()
        head, _, body = raw.partition(b"\n\n")
        subject, original = _SUBJECT.search(head), _ORIGINAL.search(head)
        if subject is None or original is None:
            verdict.faults.append(f"a mail that nobody sent: {head[:300]!r}")
            continue
        name, recipient = subject[1].decode(), original[1].decode()
        seen[name, recipient] += 1
        item = everything.get(name)
        if item is None:
            if name not in sent.unsure:
                verdict.faults.append(f"{name} was not accepted, and came to {recipient}")
            continue
        if recipient not in item.recipients:
            verdict.faults.append(f"{name} came to {recipient}, who was not named")
            continue
        kind = judge_copy(item, recipient, head, body, ring, ids)
        if kind in ("old", "new"):
            verdict.copies[kind] += 1
        else:
            verdict.faults.append(f"{name} to {recipient}: {kind}")
    for item in everything.values():
        for recipient in item.recipients:
            number = seen[item.name, recipient]
            if number != 1 and not (number > 1 and item.name in sent.unsure):
                verdict.faults.append(f"{item.name} to {recipient}: delivered {number} times")
    return verdict


def judge_copy(
    item: Mail, recipient: str, head: bytes, body: bytes, ring: Ring, ids: dict[bytes, str]
) -> str:
    """ "old", "new", or what is wrong. ids: message ids seen so far, and whose they are."""
    mark = _MARK.search(head)
    if found := _OURS.search(head):
        return f"{found[0]!r} has left the building"
    if hashlib.sha256(body).digest() == hashlib.sha256(item.body).digest():
        return "old" if mark is None else "an old body with a mark"
    if mark is None:
        return "a changed body without a mark"
    opened: list[Opened] = []

    def target(match: re.Match[bytes]) -> bytes:
        requested = read_path(match[0].partition(b"track.example.test")[2])
        if requested is None:
            raise BadToken("encoding")
        one = open_token(requested.token, ring)
        opened.append(one)
        return one.link.target.replace(b"&", b"&amp;") if one.link is not None else match[0]

    try:
        undone = _PIXEL.sub(b"", _TRACKED.sub(target, body))
    except BadToken as error:
        return f"a link that does not open: {error.reason}"
    if undone != item.body:
        return "neither the old body nor the new one"
    if sum(one.kind in CLICKS for one in opened) != LINKS or sum(one.kind in OPENS for one in opened) != 1:
        return f"links and pixels: {Counter(one.kind.name for one in opened)}"
    people = {one.identity.recipient for one in opened}
    if people != {recipient}:
        return f"links of {people}"
    messages = {one.identity.message_id for one in opened}
    if messages != {bytes.fromhex(mark[1].decode())}:
        return "links and mark of different messages"
    owner = ids.setdefault(messages.pop(), f"{item.name} {recipient}")
    return "new" if owner == f"{item.name} {recipient}" else f"the id of {owner}"
