"""Faults of other systems in what they write into mail, by the rows of docs/known-faults.md.

Those that one message shows are golden messages; here is what holds over many.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import golden_cases as golden
from engagement.links.keys import Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.ring_file import save_ring
from engagement.links.token import copy_sealer, open_token
from engagement.links.urls import click_url, pixel_url, read_path
from engagement.settings import load_text
from made_links import made
from smtpapi.commands import main
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Leave, Outcome, Plan, Why
from smtpapi.pipeline import tracking
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.rewrite import raw_message

NOW = int(golden.NOW)
HTML = b"""From: news@example.com
To: "All readers" <list@example.com>
Subject: News
Date: Tue, 24 Nov 2026 06:30:00 +0000
Content-Type: text/html

<html><body><a href="https://www.example.com/offer">offer</a></body></html>
"""


def _sent_to(*recipients: str, raw: bytes = HTML) -> tuple[Outcome, bytes]:
    site = Site.build(load_text(golden.DEFAULT_SETTINGS), golden.RING)
    message = raw_message.split(raw)
    envelope = Envelope(Client("127.0.0.1"), "news@example.com", recipients)
    outcome = consider(site, envelope, message.message, now=NOW, tick=lambda: 0.0).outcome
    return outcome, message.apply(outcome) if isinstance(outcome, Plan) else raw


def _paths(message: bytes) -> list[str]:
    """Paths of the tracked links and pixels in a message of the form of HTML."""
    return re.findall(r"https://track\.example\.net(/[^\s\"]*)", message.decode())


def _identity(**changes: Any) -> Identity:
    facts: dict[str, Any] = {
        "message_id": bytes(16),
        "transmission_id": 42,
        "recipient": "ida.holm@mail.example.org",
        "issued": NOW,
        "expiry": NOW + 31_536_000,
        "campaign": "spring-sale1",
        "tags": ("weekly01", "shop0001"),
    }
    return Identity(**(facts | changes))


def _opened(path: str) -> Any:
    requested = read_path(path.encode())
    assert requested is not None
    return open_token(requested.token, golden.RING)


def test_a16_ordinary_link_is_a_seventh_of_what_outlook_takes() -> None:
    """Outlook refuses links of more than 2,048 characters."""
    target = b"https://www.example.com/" + b"x" * 56
    token = copy_sealer(golden.RING.signing, _identity()).seal(Kind.CLICK, Link(target, ""))
    assert len(target) == 80
    assert len(click_url("https", "track.example.com", token)) <= 300


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_a16_no_line_is_brought_past_998_octets(case: Path) -> None:
    before, after = (case / "in.eml").read_bytes(), (case / "out.eml").read_bytes()
    longest = max(998, *(len(line) for line in before.split(b"\n")))
    assert all(len(line) <= longest for line in after.split(b"\n"))


def test_a19_each_recipient_has_links_of_their_own() -> None:
    seen = set()
    for recipient in ("ida@example.org", "bo@example.org", "Çelik@example.org"):
        outcome, sent = _sent_to(recipient)
        assert isinstance(outcome, Plan)
        paths = _paths(sent)
        assert [_opened(path).identity.recipient for path in paths] == [recipient, recipient]
        seen.update(paths)
    assert len(seen) == 6


def test_a19_recipients_of_one_transaction_never_share_a_link() -> None:
    outcome, _ = _sent_to("ida@example.org", "bo@example.org")
    assert isinstance(outcome, Leave | Plan)
    assert outcome.why is Why.SEVERAL_RECIPIENTS
    assert not isinstance(outcome, Plan) or not outcome.edits


@pytest.mark.parametrize(
    "name",
    ["signed", "encrypted", "smime", "pgp-inline", "report", "ambiguous-no-boundary"],
)
def test_b10_mail_that_a_change_would_break_stays_to_the_byte(name: str) -> None:
    case = golden.CASES / f"why-{name}"
    assert (case / "out.eml").read_bytes() == (case / "in.eml").read_bytes()
    assert json.loads((case / "plan.json").read_text())["reason"] == name.removesuffix("-no-boundary") + (
        "-mime" if name.startswith("ambiguous") else ""
    )


def test_b11_fault_of_ours_sends_the_mail_on_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tracking, "plan", broken)
    outcome, sent = _sent_to("ida@example.org")
    assert isinstance(outcome, Leave)
    assert (outcome.why, sent) == (Why.INTERNAL_ERROR, HTML)


def test_b12_shipped_example_signs_behind_the_filter() -> None:
    fragment = (golden.ROOT.parent / "etc/postfix/main.cf.smtpapi").read_text("utf-8")
    (order,) = re.findall(r"^#\s*(smtpd_milters = .*opendkim.*)$", fragment, re.MULTILINE)
    assert order.index("unix:smtpapi/") < order.index("unix:opendkim/")


def test_b16_tokens_begin_and_end_with_a_letter_or_digit() -> None:
    sealer = copy_sealer(golden.RING.signing, _identity())
    for length in range(300):
        token = sealer.seal(Kind.CLICK, Link(b"https://www.example.com/" + b"x" * length, ""))
        assert re.fullmatch(rb"[A-Za-z0-9][A-Za-z0-9_-]*[A-Za-z0-9]", token)


@pytest.mark.parametrize("case", golden.cases(), ids=lambda case: case.name)
def test_b19_links_have_no_query_to_be_cut(case: Path) -> None:
    for link in made(case):
        assert re.fullmatch(r"https?://[a-z.]+/(f/[A-Za-z0-9._-]+|q)/[A-Za-z0-9_-]+", link.url)


def test_b23_pixel_is_short() -> None:
    """Readers clip long mail: the pixel may take little of what they show."""
    token = copy_sealer(golden.RING.signing, _identity()).seal(Kind.OPEN)
    assert len(pixel_url("https", "track.example.com", token)) <= 200


# Beginnings and names that public block lists for readers' programs match, in any place of an address.
_BLOCKED = re.compile(
    r"track|click|open|pixel|beacon|redirect|utm_|/e/|/wf/|/ls/|/ss/|/c/|\.gif|\.png|\.php|[?&]u(rl)?=",
    re.IGNORECASE,
)


@pytest.mark.parametrize("seal", [Kind.CLICK, Kind.OPEN, Kind.INITIAL_OPEN, Kind.AMP_CLICK, Kind.AMP_OPEN])
def test_f4_nothing_in_our_addresses_is_on_block_lists(seal: Kind) -> None:
    is_click = seal in (Kind.CLICK, Kind.AMP_CLICK)
    sealer = copy_sealer(golden.RING.signing, _identity())
    token = sealer.seal(seal, Link(b"https://www.example.com/", "") if is_click else None)
    url = (click_url if is_click else pixel_url)("https", "news.example.com", token)
    assert url.endswith(token)
    assert not _BLOCKED.search(url[: -len(token)].decode())


def test_f5_decoding_a_link_tells_the_target_and_nobody_hears_of_it(tmp_path: Path) -> None:
    ring = Ring().rotated(bytes(32), NOW)
    save_ring(tmp_path / "keys", ring)
    configuration = tmp_path / "smtpapi.conf"
    configuration.write_text(
        f'smtpapi {{ }}\nkeys {{ ring = "{tmp_path}/keys" }}\n'
        f'spool {{ directory = "{tmp_path}/spool" }}\nstore {{ path = "{tmp_path}/events.db" }}\n'
    )
    token = copy_sealer(ring.signing, _identity()).seal(Kind.CLICK, Link(b"https://www.example.com/", ""))
    url = click_url("https", "track.example.com", token).decode()
    shown = CliRunner().invoke(main, ["decode", "--config", str(configuration), url])
    assert shown.exit_code == 0
    assert json.loads(shown.output)["target"] == "https://www.example.com/"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "smtpapi.conf"]
