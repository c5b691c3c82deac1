"""The policy files under etc/policy/, each loaded and run on mail."""

import time
from pathlib import Path

import pytest

from engagement.links.keys import Ring
from engagement.settings import load_text
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Leave, Plan, Why
from smtpapi.pipeline.transaction import MessageResult, Site, consider
from smtpapi.policy.hooks import parse
from smtpapi.request.decision import Decision

_EXAMPLES = Path(__file__).parents[2] / "etc" / "policy"
_CONFIGURATION = """
smtpapi { }
ESMTP_Listener {
    Listen ":25" { }
    click_tracking_enabled = true
    open_tracking_enabled = true
    pathway = "plain"
}
Pathway "plain" { tracking_domain = "plain.example" }
Pathway "newsletters" { tracking_domain = "news.example" }
"""
_RING = Ring().rotated(b"k" * 32, 1)


def run(
    example: str,
    *fields: Field,
    sender: str = "a@example.org",
    recipient: str = "b@example.net",
    login: str = "",
) -> MessageResult:
    file = _EXAMPLES / example
    site = Site.build(load_text(_CONFIGURATION), _RING, parse(file.read_bytes(), str(file)))
    message = Message(
        (*fields, Field("Content-Type", b" text/html")), b'<a href="http://x.example/">x</a>\r\n'
    )
    envelope = Envelope(Client("127.0.0.1", login=login), sender, (recipient,))
    return consider(site, envelope, message, now=1_795_000_000, tick=time.monotonic)


def decision(considered: MessageResult) -> Decision:
    assert considered.decision is not None
    return considered.decision


@pytest.mark.parametrize("example", sorted(path.name for path in _EXAMPLES.glob("*.py")))
def test_every_example_loads_and_leaves_ordinary_mail_tracked(example: str) -> None:
    considered = run(example)
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.edits
    assert considered.notes == ()


def test_a_campaign_gets_its_domain() -> None:
    found = decision(run("by-campaign-domain.py", Field("X-Campaign", b" spring")))
    assert (found.campaign, found.domain) == ("spring", "spring.links.example.com")
    assert (found.click_scheme, found.open_scheme) == ("https", "https")


def test_mail_without_a_campaign_gets_its_senders_name_and_no_domain() -> None:
    found = decision(run("by-campaign-domain.py"))
    assert (found.campaign, found.domain, found.click_scheme) == ("a", "plain.example", "http")


def test_a_long_campaign_is_cut_and_not_refused() -> None:
    found = decision(run("by-campaign-domain.py", Field("X-Campaign", b" x" + "é".encode() * 40)))
    assert found.campaign == "x" + "é" * 31


@pytest.mark.parametrize("recipient", ["Ida.Holm@Example.NET", "any@no-tracking.example"])
def test_readers_who_objected_are_not_tracked_whatever_the_header_says(recipient: str) -> None:
    header = Field("X-MSYS-API", b'{"options":{"open_tracking":true,"click_tracking":true}}')
    considered = run("per-recipient-optout.py", header, recipient=recipient)
    assert isinstance(considered.outcome, Plan)
    assert (considered.outcome.why, considered.outcome.edits) == (Why.TRACKING_OFF, ())


def test_objections_are_read_as_the_tracker_reads_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    example = tmp_path / "policy.py"
    example.write_bytes((_EXAMPLES / "per-recipient-optout.py").read_bytes())
    (tmp_path / "optout.txt").write_text("\ufeffida@bücher.example\n<kim@example.net>\n")
    considered = run(str(example), recipient="ida@xn--bcher-kva.example")
    assert isinstance(considered.outcome, Leave)
    assert considered.outcome.why is Why.TRACKING_OFF
    assert caplog.messages == [
        f"objections: {tmp_path}/optout.txt:2: neither an address nor @domain; the line has no effect"
    ]


def test_a_customer_is_known_by_its_login() -> None:
    considered = run("customer-domains.py", login="bank")
    found = decision(considered)
    assert (found.customer_id, found.domain, found.expiry) == ("31", "mail.bank.example", 30 * 86400)
    assert found.custom == (("cust_login", "bank"),)
    assert considered.connection_context["mo_customer_id"] == "31"


def test_unknown_logins_get_the_configured_domain() -> None:
    found = decision(run("customer-domains.py", login="other"))
    assert (found.customer_id, found.domain) == ("0", "plain.example")


def test_a_customers_tests_are_bypassed() -> None:
    considered = run("customer-domains.py", Field("X-MSYS-API", b"not json"), sender="test@shop.example")
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.why is Why.BYPASSED
    assert [(change.name, change.value) for change in considered.outcome.headers] == [("X-MSYS-API", None)]


def test_labels_come_from_plain_header_fields() -> None:
    fields = (Field("X-Tags", b' a, b "c" '), Field("X-Tags", b" d,,"), Field("X-Order", b" 4711"))
    found = decision(run("labels-from-headers.py", *fields, sender="x@news.example.com"))
    assert found.tags == ("a", 'b "c"', "d")
    assert found.metadata == '{"order":"4711"}'
    assert found.domain == "news.example"
