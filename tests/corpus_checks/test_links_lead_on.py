"""Real mail and real documents: every link that is written is followed to the target its report names.

`test_fidelity` holds those targets against an independent parser; here the circle is closed. Without a corpus
next to the checkout these tests have nothing to read and say so.
"""

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

import fidelity
import golden_cases as golden
from engagement.links.token import open_token
from engagement.links.urls import read_path
from engagement.settings import load_text
from made_links import made_in
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.transaction import Site, consider
from smtpapi.rewrite import raw_message

needs_corpus = pytest.mark.skipif(not fidelity.CORPUS.is_dir(), reason=f"no corpus at {fidelity.CORPUS}")
SITE = replace(Site.build(load_text(golden.DEFAULT_SETTINGS), golden.RING), first_hand=True)
ENVELOPE = Envelope(Client("127.0.0.1"), "news@example.com", ("reader@example.test",))


def follow(mails: Iterable[tuple[str, bytes]]) -> tuple[int, list[str]]:
    """How many links were followed, and a line for each that leads elsewhere."""
    followed, astray = 0, []
    for name, raw in mails:
        message = raw_message.split(raw)
        outcome = consider(SITE, ENVELOPE, message.message, now=golden.NOW, tick=lambda: 0.0).outcome
        if not isinstance(outcome, Plan):
            continue
        edits = message.report(outcome, name)["edits"]
        inner = [edit for one in edits for edit in (one, *one.get("inner", ())) if edit["kind"] == "link"]
        found = [link for link in made_in(raw, message.apply(outcome), edits) if link.kind == "link"]
        if len(found) != len(inner):
            astray.append(f"{name}: {len(inner)} links reported, {len(found)} found")
        for link in found:
            requested = read_path(urlsplit(link.url).path.encode())
            opened = open_token(requested.token, golden.RING) if requested else None
            if opened is None or opened.link is None or opened.link.target.decode() != link.target:
                astray.append(f"{name}: {link.target}")
        followed += len(found)
    return followed, astray


@needs_corpus
def test_links_of_a_sample_lead_on() -> None:
    followed, astray = follow([*list(fidelity.mails())[::8], *list(fidelity.wrapped())[::32]])
    assert astray == []
    assert followed > 1000


@pytest.mark.long
@pytest.mark.timeout(1200)
@needs_corpus
def test_links_of_all_real_mail_and_documents_lead_on() -> None:
    assert follow([*fidelity.mails(), *fidelity.wrapped()])[1] == []
