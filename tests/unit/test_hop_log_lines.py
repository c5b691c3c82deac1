"""A message that went over the hop in the log and in the counters: neither tracked nor untouched yet."""

import logging

import pytest

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import HeaderChange, Plan, Recipient, Why
from smtpapi.telemetry import maillog
from smtpapi.telemetry.counters import Counters

SPLIT = Plan(
    (HeaderChange("X-Smtpapi-Split", 0, "1 1 x"),),
    why=Why.SPLIT,
    note="3 copies",
    recipients=(Recipient("hidden@example.net"),),
)


def test_a_split_message_is_counted_as_split_alone() -> None:
    counters = Counters.create(1)
    counters.row(0).add_outcome(SPLIT, 0.0)
    assert {name: count for name, count in counters.totals().items() if count} == {
        "messages": 1,
        "why-split": 1,
    }


def test_a_split_message_has_its_line_and_names_no_copy(caplog: pytest.LogCaptureFixture) -> None:
    envelope = Envelope(Client(), "a@example.org", ("b@example.net", "c@example.net"), "4X")
    with caplog.at_level(logging.INFO, "smtpapi.milter"):
        maillog.message(envelope, SPLIT, 100, 0.001)
    assert caplog.messages == [
        "4X: from=<a@example.org>, to=<b@example.net>, nrcpt=2, size=100, ms=1.0, status=split, note=3 copies"
    ]
