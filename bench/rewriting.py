"""How fast whole messages are rewritten, raw bytes to raw bytes, beside what others would do.

    python bench/rewriting.py                    tables of ratios, for a 47 kB newsletter in quoted-printable
                                                 made here: HTML alone, and with a text part beside it
    python bench/rewriting.py FILE…              the same table for these mails
    python bench/rewriting.py FILE… --seconds 3 --json
                                                 loops over the files: {"docs": N, "bytes": B, "seconds": S,
                                                 "cpu": C}

In memory, in one process, clicks and opens tracked, HTML and text. Ratios come from one run on one machine:
the candidates take turns, the best round of each counts. Not a test: nothing fails here.
"""

import argparse
import binascii
import email
import email.policy
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import program  # noqa: F401 - finds what follows
from engagement.links.keys import Ring
from engagement.links.model import Identity
from engagement.settings import load_text
from smtpapi.model.edit import splice
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.request.decision import Decision
from smtpapi.rewrite import raw_message
from smtpapi.rewrite.copy_links import CopyLinks
from smtpapi.rewrite.part import PartEdits
from smtpapi.rewrite.plan import plan
from smtpapi.rewrite.rules import RewritingRules

NOW = 1_790_000_000
LINKS = 20
KEY = Ring(()).rotated(bytes(range(32)), NOW).signing
DECISION = Decision(
    True, True, False, "https", "https", "track.example.net", 31_536_000, "spring", ("a", "b")
)
RULES = RewritingRules(own_hosts=frozenset({b"track.example.net"}))


def copy_links(number: int) -> CopyLinks:
    """The links of one copy: each message has its own identity, as in the filter."""
    identity = Identity(
        number.to_bytes(16, "big"),
        number,
        "reader@example.test",
        NOW,
        NOW + DECISION.expiry,
        campaign=DECISION.campaign,
        tags=DECISION.tags,
    )
    return CopyLinks.build(KEY, identity, DECISION)


def rewriter() -> Callable[[bytes], bytes]:
    """The whole rewriting of one raw message; trust, header, policy and records are not in it."""
    numbers = count(1)

    def rewrite(raw: bytes) -> bytes:
        message = raw_message.split(raw)
        outcome = plan(message.message, DECISION, copy_links(next(numbers)), RULES, time.monotonic)
        return message.apply(outcome) if isinstance(outcome, Plan) else raw

    return rewrite


def filter_() -> Callable[[bytes], bytes]:
    """All that the milter does with a message, decisions and records included."""
    site = Site.build(load_text(CONFIG), Ring(()).rotated(bytes(range(32)), NOW))
    envelope = Envelope(Client("127.0.0.1"), "news@example.com", ("reader@example.test",))

    def rewrite(raw: bytes) -> bytes:
        message = raw_message.split(raw)
        outcome = consider(site, envelope, message.message, now=float(NOW), tick=time.monotonic).outcome
        return message.apply(outcome) if isinstance(outcome, Plan) else raw

    return rewrite


CONFIG = """
smtpapi { }
ESMTP_Listener {
  click_tracking_enabled = true
  open_tracking_enabled = true
  click_tracking_scheme = "https"
  open_tracking_scheme = "https"
  tracking_domain = "track.example.net"
}
"""

_CELL = (
    '<table border="0" cellpadding="0" cellspacing="0" role="presentation" width="100%"><tbody><tr>'
    '<td align="left" style="font-size:0px;padding:10px 25px;word-break:break-word;">'
    '<div style="font-family:Ubuntu, Helvetica, Arial, sans-serif;font-size:13px;line-height:22px;'
    'text-align:left;color:#55575d;">{}</div></td></tr></tbody></table>\n'
)
_TEXT = "Some words about the story \u2013 with a dash, \u201cquotes\u201d &amp; entities. "


def newsletter() -> bytes:
    """An HTML document as newsletter builders make them: nested tables, inline styles, `LINKS` links."""
    rows = [
        "<!--[if mso | IE]><table><tr><td><![endif]-->\n"
        + _CELL.format(
            f'<h2 style="margin:0">Story {number}</h2><img alt="" src="https://i.example.com/{number}">'
        )
        + _CELL.format(f'<p style="margin: 10px 0;"><b>{_TEXT}</b><br>{_TEXT}</p><p>{_TEXT}</p>')
        + _CELL.format(
            f'<a href="https://www.example.com/stories/{number}?utm_source=newsletter&amp;utm_medium=email&amp;'
            f'utm_campaign=spring&amp;id={number * 7919}" target="_blank" style="color:#ffffff">Read more</a>'
        )
        + _CELL.format("<span>&nbsp;</span>")
        + "<!--[if mso | IE]></td></tr></table><![endif]-->\n"
        for number in range(LINKS)
    ]
    style = "".join(f".c{n} {{ padding: 0 {n}px; color: #{n:06x}; }}\n" for n in range(60))
    head = '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n<style type="text/css">\n'
    body = '</style>\n</head>\n<body bgcolor="#eeeeee">\n<table width="600"><tr><td>\n' + "".join(rows)
    return (head + style + body + "</td></tr></table>\n</body>\n</html>\n").encode()


def message(document: bytes) -> bytes:
    """The document as a quoted-printable HTML mail with a few common fields."""
    fields = (
        "Received: from app.example.com (app.example.com [192.0.2.7]) by mx.example.com with ESMTPSA id 1;\n"
        " Tue, 24 Nov 2026 06:00:00 +0000\nFrom: News <news@example.com>\nTo: reader@example.test\n"
        "Subject: Spring news\nDate: Tue, 24 Nov 2026 06:00:00 +0000\nMessage-ID: <1@example.com>\n"
        "List-Id: <news.example.com>\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"
        "Content-Transfer-Encoding: quoted-printable\n\n"
    )
    return (fields.encode() + binascii.b2a_qp(document)).replace(b"\n", b"\r\n")


def alternative(document: bytes) -> bytes:
    """The same with a text part before it, in multipart/alternative."""
    head, _, html = message(document).partition(b"Content-Type:")
    text = b"What is new this spring, in a few words.\r\n" * 20 + b"https://www.example.com/\r\n"
    part = b"--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text
    opening = b'Content-Type: multipart/alternative; boundary="=_b"\r\n\r\n'
    return head + opening + part + b"\r\n--=_b\r\nContent-Type:" + html + b"\r\n--=_b--\r\n"


# --- what others would do ----------------------------------------------------------------------------


def soup_filter(raw: bytes) -> bytes:
    """The filter most people write first: the email package and BeautifulSoup."""
    from bs4 import BeautifulSoup

    mail = email.message_from_bytes(raw, policy=email.policy.SMTP)
    for part in mail.walk():
        if part.get_content_type() != "text/html":
            continue
        soup = BeautifulSoup(part.get_content(), "html.parser")
        for anchor in soup.find_all("a", href=True):
            anchor["href"] = "https://track.example.net/c?u=" + str(anchor["href"])
        soup.append(soup.new_tag("img", src="https://track.example.net/o", width="1", height="1"))
        part.set_content(str(soup), subtype="html", cte="quoted-printable")
    return mail.as_bytes()


def bare_parse(raw: bytes) -> object:
    """Only reading the mail with the standard library, nothing done."""
    return email.message_from_bytes(raw)


def modern_parse(raw: bytes) -> object:
    """The same under the policy that the email package's own pages advise."""
    return email.message_from_bytes(raw, policy=email.policy.default)


def lxml_rewrite(document: bytes) -> object:
    """The HTML alone with lxml: parse, rewrite links, serialise."""
    from lxml import etree, html

    tree = html.document_fromstring(document)
    for anchor in tree.iter("a", "area"):
        if anchor.get("href"):
            with suppress(ValueError):  # lxml reads control characters that it does not write
                anchor.set("href", "https://track.example.net/c?u=" + str(anchor.get("href")))
    return etree.tostring(tree, method="html")


def html_rewriter() -> Callable[[bytes], bytes]:
    """Ours, the HTML alone: find, seal, splice."""
    links = copy_links(1)

    def rewrite(document: bytes) -> bytes:
        chooser = PartEdits(DECISION, links, RULES, time.monotonic, float("inf"))
        return splice(document, chooser.html(document))

    return rewrite


def html_parts(raws: Iterable[bytes]) -> list[bytes]:
    """The decoded HTML parts of mails."""
    found = []
    for raw in raws:
        for part in email.message_from_bytes(raw).walk():
            payload = part.get_payload(decode=True)
            if part.get_content_type() == "text/html" and isinstance(payload, bytes) and payload.strip():
                found.append(payload)
    return found


def rate(function: Callable[[bytes], object], items: Sequence[bytes], seconds: float) -> float:
    """Items a second of CPU time."""
    done = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds:
        for item in items:
            function(item)
        done += len(items)
    return done / spent


Candidates = dict[str, tuple[Callable[[bytes], object], Sequence[bytes]]]


def best(candidates: Candidates, seconds: float, rounds: int = 8) -> dict[str, float]:
    """The best rate of each; the candidates take turns, so that all see the same machine."""
    rates = dict.fromkeys(candidates, 0.0)
    for _ in range(rounds):
        for name, (function, items) in candidates.items():
            rates[name] = max(rates[name], rate(function, items, seconds / rounds / len(candidates)))
    return rates


_RATIOS = (
    ("ours", "BeautifulSoup filter", 12.0),
    ("ours", "message_from_bytes alone", 0.75),
    ("ours", "message_from_bytes, policy.default", 0.75),
    ("HTML alone, ours", "HTML alone, lxml", 2.0),
)


def table(title: str, raws: Sequence[bytes], seconds: float) -> None:
    """Print what each way does with the mails, and the ratios to reach."""
    documents = html_parts(raws)
    candidates: Candidates = {
        "ours": (rewriter(), raws),
        "ours, with decisions and records": (filter_(), raws),
        "BeautifulSoup filter": (soup_filter, raws),
        "message_from_bytes alone": (bare_parse, raws),
        "message_from_bytes, policy.default": (modern_parse, raws),
        "HTML alone, ours": (html_rewriter(), documents),
        "HTML alone, lxml": (lxml_rewrite, documents),
    }
    rates = best(candidates, seconds)
    mean = sum(map(len, raws)) // len(raws)
    print(f"{title}: {len(raws)} of {mean} bytes\n{'':36}{'a second':>10}{'MB/s':>8}{'ms':>8}")
    for name, figure in rates.items():
        items = candidates[name][1]
        size = sum(map(len, items)) / len(items)
        print(f"{name:36}{figure:10.0f}{figure * size / 1e6:8.1f}{1000 / figure:8.2f}")
    for mine, theirs, goal in _RATIOS:
        print(f"{mine + ' / ' + theirs:46}{rates[mine] / rates[theirs]:8.2f}   to reach {goal:g}")
    print()


def loop(raws: Iterable[bytes], seconds: float) -> dict[str, float]:
    """Rewrite the messages over and over for so long."""
    rewrite = rewriter()
    raws = list(raws)
    docs = size = 0
    cpu, started = time.process_time(), time.perf_counter()
    while time.perf_counter() - started < seconds:
        for raw in raws:
            rewrite(raw)
            docs += 1
            size += len(raw)
    return {
        "docs": docs,
        "bytes": size,
        "seconds": round(time.perf_counter() - started, 3),
        "cpu": round(time.process_time() - cpu, 3),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    raws = [path.read_bytes() for path in arguments.files]
    if arguments.json:
        print(json.dumps(loop(raws or [message(newsletter())], arguments.seconds)))
    elif raws:
        table("mails", raws, arguments.seconds)
    else:
        table("a newsletter, HTML alone", [message(newsletter())], arguments.seconds / 2)
        table("a newsletter, text and HTML", [alternative(newsletter())], arguments.seconds / 2)


if __name__ == "__main__":
    main()
