"""What must stay the same: ids of what was told, truth values, blanks at the ends of lines."""

import time

import pytest

from engagement.events.api_event import api_event
from engagement.events.ids import reported_id
from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.model.edit import splice
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan
from smtpapi.pipeline.transaction import Site, consider


def test_ids_of_what_logs_tell_stay_the_same_from_release_to_release() -> None:
    """A log that is read again after an upgrade must make no second event."""
    assert reported_id(1_790_000_000_123, "mx.example.org", "4XyZ", "ida@example.net") == (
        "01a0c450-6c7b-8a7b-aa77-99849068d04c"
    )
    assert reported_id(-5, "ä") == "00000000-0000-8f2f-9864-010c9afaa7c0"
    assert reported_id(1 << 60, "a", "b") == "ffffffff-ffff-8f6f-821e-27a3927c79f0"
    assert reported_id(1 << 60, "ab", "") == "ffffffff-ffff-81e9-8aba-7c987af5c264"


@pytest.mark.parametrize("name", ["open_tracking", "click_tracking", "initial_pixel", "amp_enabled"])
def test_truth_values_are_such_where_clients_demand_it(name: str) -> None:
    assert api_event({name: True, "transactional": True, "x_repeat": True}) == {
        name: True,
        "transactional": "1",
        "x_repeat": True,
    }


@pytest.mark.parametrize(
    ("kind", "encoding", "moved"),
    [
        ("text/html", "quoted-printable", True),
        ("text/html; format=flowed", "7bit", True),
        ("text/html", "7bit", False),
    ],
)
def test_a_pixel_stands_before_blanks_that_may_go(kind: str, encoding: str, moved: bool) -> None:
    site = Site.build(
        load_text(
            'smtpapi { } ESMTP_Listener { open_tracking_enabled = true tracking_domain = "t.example.net" }'
        ),
        Ring().rotated(b"k" * 32, 1),
    )
    fields = (
        Field("Content-Type", f" {kind}".encode()),
        Field("Content-Transfer-Encoding", f" {encoding}".encode()),
    )
    message = Message(fields, b"<p>Hello</p>  \r\n")
    envelope = Envelope(Client("127.0.0.1"), "a@s.test", ("b@r.test",), "Q1")
    outcome = consider(site, envelope, message, now=1_795_501_800.0, tick=time.monotonic).outcome
    assert isinstance(outcome, Plan)
    after = splice(message.body, outcome.edits)
    assert after.startswith(b"<p>Hello</p><img" if moved else b"<p>Hello</p>  <img")
