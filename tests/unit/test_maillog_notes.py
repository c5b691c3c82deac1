"""What was noticed while a message was tracked stands in its line of the log."""

import logging

import pytest

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.outcome import Plan
from smtpapi.telemetry import maillog


def test_a_note_on_tracked_mail_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A sublink that is ignored is warned of (contract.md 5.3)."""
    envelope = Envelope(Client("127.0.0.1"), "a@example.test", ("b@example.test",), "4XYZ")
    with caplog.at_level(logging.INFO, logger="smtpapi"):
        maillog.message(envelope, Plan(note="2 sublinks ignored"), 10, 0.001)
    assert "note=2 sublinks ignored" in caplog.text
