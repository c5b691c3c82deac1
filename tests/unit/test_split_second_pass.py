"""The second pass: a copy that comes back over the hop, and all that only looks like one."""

from dataclasses import replace
from typing import Any

import pytest

from engagement.links.model import Identity
from engagement.settings import load_text
from hop_mail import (
    BODY,
    CLIENT,
    FIELDS,
    HOP,
    NOW,
    RING,
    STRANGER,
    TO,
    Mail,
    api,
    identities,
    mail,
    names,
    site,
)
from smtpapi.hop import resume, split_header
from smtpapi.model.envelope import Client
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse, Why
from smtpapi.pipeline import tracking
from smtpapi.pipeline.transaction import MessageResult, Site

MARK = "X-Smtpapi-Split"
LOGGED_IN = Client("192.0.2.9", "a.example", "ida", "192.0.2.1", 587, "submission", "pc")


def why(considered: MessageResult) -> Why | None:
    assert not isinstance(considered.outcome, Refuse | Discard)
    return considered.outcome.why


def queued(*fields: Field, where: Site | None = None, **facts: Any) -> Mail:
    return mail(where or site(), *fields, **facts).queued()


# --- what comes back


def test_each_copy_has_links_of_its_own() -> None:
    there = queued(api(campaign_id="c", metadata={"n": 1}))
    bodies = {recipient: there.hop(recipient).queued().message for recipient in TO}
    for recipient, message in bodies.items():
        (identity,) = identities(message.body)
        assert (identity.recipient, identity.campaign, identity.metadata) == (recipient, "c", '{"n":1}')
        assert names(message) == ["Content-Type", "Date", "Message-ID", "X-Smtpapi-Id"]
    ids = {next(iter(identities(message.body))).message_id for message in bodies.values()}
    assert len(ids) == 2


def test_links_are_those_that_one_recipient_alone_would_get() -> None:
    """So a mail that is sent again, to fewer recipients, makes no second set of links."""
    copy = queued().hop(TO[0]).queued().message
    assert copy == mail(site(added="shared"), recipients=TO[:1]).queued().message
    assert copy == mail(site(), recipients=TO[:1]).queued().hop(TO[0]).queued().message


def test_a_copy_that_is_tried_again_gets_the_same_links() -> None:
    there = queued()
    first = there.hop(TO[0])
    again = there.hop(TO[0], queue_id="Q-other", now=NOW + 4 * 86_400)
    assert first.queued().message == again.queued().message
    assert first.consider().injections[0].id == again.consider().injections[0].id


def test_copies_without_date_and_message_id_are_of_one_time_and_transmission() -> None:
    sent = mail(site())
    sent.message = Message(FIELDS[:1], BODY)
    there = sent.queued()
    added = (Field("Date", b" Tue, 24 Nov 2026 06:59:00 +0000"), Field("Message-Id", b" <added@mx.example>"))
    copies: list[Identity] = []
    for recipient in TO:
        copy = there.hop(recipient)
        copy.message = replace(copy.message, fields=(*copy.message.fields, *added))  # as an MTA completes it
        copies += identities(copy.queued().message.body)
    assert {copy.recipient for copy in copies} == set(TO)
    assert len({(copy.transmission_id, copy.issued) for copy in copies}) == 1


def test_client_login_and_listener_are_those_of_the_first_pass() -> None:
    where = site(
        options="""Relay_Hosts = ("10.0.0.0/8") Listen ":587" { tracking_domain = "s.example.net" }""",
        policy="""
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    vctx.set(core.VCTX_MESS, "cust_client", f"{ac.remote_addr} {ac.login} {ac.local_port} {ac.ehlo}")
""",
    )
    decision = queued(where=where, client=LOGGED_IN).hop(TO[0]).consider().decision
    assert decision is not None
    assert decision.domain == "s.example.net"
    assert decision.custom == (("cust_client", "192.0.2.9 ida 587 pc"),)


def test_a_session_s_variables_come_over_the_hop() -> None:
    context = {"smtpapi_campaign_id": "of the session", "pathway": "p"}
    there = queued(context=context)
    decision = there.hop(TO[0], context={}).consider().decision
    assert decision is not None
    assert decision.campaign == "of the session"


def test_white_space_and_repeats_of_the_header_arrive_as_they_were() -> None:
    """The header goes over the hop inside the mark, so nothing is folded or parsed on the way."""
    first = Field("x-msys-api", b' {"campaign_id": "a\r\n     b",\r\n\t"tags": ["=?utf-8?q?=C3=A9?="]}')
    there = queued(first, api(campaign_id="second"))
    direct = mail(site(added="shared"), first, recipients=TO[:1]).consider().decision
    assert direct is not None
    assert (direct.campaign, direct.tags) == ("a b", ("é",))
    assert there.hop(TO[0]).consider().decision == direct


def test_plus_addresses_and_escaped_octets_are_recipients_as_they_are() -> None:
    there = queued(recipients=("ann+tag=x@example.net", '"a b"@example.net'))
    for recipient in there.recipients:
        assert {each.recipient for each in identities(there.hop(recipient).queued().message.body)} == {
            recipient
        }


def test_a_key_that_was_rotated_meanwhile_still_makes_the_copy() -> None:
    there = queued()
    rotated = replace(there.site, ring=RING.rotated(b"n" * 32, 2))
    assert there.hop(TO[0], site=rotated).queued().message == there.hop(TO[0]).queued().message


# --- what is removed


def test_signatures_of_the_site_s_own_signer_are_removed_wherever_they_stand() -> None:
    there = queued()
    ours = Field("DKIM-Signature", b" v=1; d=example.org;\r\n\tb=abc")
    for fields in ((ours, *there.message.fields), (*there.message.fields, ours)):
        copy = there.hop(TO[0], message=replace(there.message, fields=fields))
        assert why(copy.consider()) is None
        assert "DKIM-Signature" not in names(copy.queued().message)


def test_signatures_the_mail_came_with_stay_and_keep_it_untracked() -> None:
    """Only copies send signed mail over the hop; the site's signer signed it there too."""
    theirs = Field("DKIM-Signature", b" v=1; d=author.example; b=abc")
    there = queued(theirs, api(bcc=["hidden@example.net"]))
    ours = Field("DKIM-Signature", b" v=1; d=example.org; b=xyz")
    folded = Field("dkim-signature", b" v=1; d=author.example;\n\t b=abc")
    fields = [folded if each == theirs else each for each in there.message.fields]
    copy = there.hop(TO[0], message=Message((ours, *fields), BODY))
    assert why(copy.consider()) is Why.DKIM_SIGNED
    assert [each for each in copy.queued().message.fields if each.name.lower() == "dkim-signature"] == [
        folded
    ]


def test_a_header_added_on_the_way_is_removed_and_not_read() -> None:
    there = queued()
    copy = there.hop(TO[0], message=replace(there.message, fields=(api(metadata=[]), *there.message.fields)))
    assert why(copy.consider()) is None
    assert "X-MSYS-API" not in names(copy.queued().message)


def test_the_module_switched_off_meanwhile_still_takes_the_mark_out() -> None:
    there = queued()
    off = load_text('smtpapi { enabled = false } rewriting { split_listener = "127.0.0.1:10026" }')
    copy = there.hop(TO[0], site=Site.build(off, RING))
    assert why(copy.consider()) is Why.MODULE_OFF
    assert MARK not in names(copy.queued().message)


# --- what does not count


def test_several_recipients_at_once_get_no_links() -> None:
    there = queued()
    considered = replace(there.hop(TO[0]), recipients=TO).consider()
    assert why(considered) is Why.SEVERAL_RECIPIENTS
    assert isinstance(considered.outcome, Plan)
    assert "limit it to one" in considered.outcome.note
    assert [record.recipient for record in considered.injections] == list(TO)


def refused(copy: Mail) -> MessageResult:
    considered = copy.consider()
    assert considered.counts == ("marks-refused",)
    assert MARK not in names(copy.queued().message)
    return considered


def test_a_message_that_is_not_the_mark_s_gets_no_links() -> None:
    there = queued(api(campaign_id="c"))
    mark = next(each for each in there.message.fields if each.name == MARK)
    others = [
        Message((*FIELDS, mark), BODY + b"more\r\n"),
        Message((FIELDS[0], Field("Date", b" Mon, 23 Nov 2026 06:30:00 +0000"), FIELDS[2], mark), BODY),
        Message((*FIELDS[:2], Field("Message-ID", b" <other@example.org>"), mark), BODY),
        Message((*FIELDS[:2], mark), BODY),
    ]
    for message in others:
        considered = refused(there.hop(TO[0], message=message))
        assert why(considered) is Why.SEVERAL_RECIPIENTS
        assert isinstance(considered.outcome, Plan)
        assert considered.outcome.note == "the message was changed on its way over the hop"


def test_a_mark_without_its_key_or_out_of_time_gets_no_links() -> None:
    """Whoever sent it may have asked for none, and the filter cannot know any more."""
    there = queued()
    revoked = site(ring=RING.rotated(b"n" * 32, 2).revoked(1))
    for copy, note in (
        (there.hop(TO[0], site=revoked), "the key that sealed its mark is not in the ring"),
        (there.hop(TO[0], now=NOW + 11 * 86_400), "its mark is too old"),
        (there.hop(TO[0], now=NOW - 2 * 86_400), "its mark is too old"),
    ):
        outcome = refused(copy).outcome
        assert isinstance(outcome, Plan)
        assert (outcome.why, outcome.note, outcome.edits) == (Why.SEVERAL_RECIPIENTS, note, ())


def test_a_hop_that_leads_astray_is_no_way_round_even_with_an_old_mark() -> None:
    astray = replace(queued().hop(TO[0], client=CLIENT, now=NOW + 11 * 86_400), recipients=TO)
    assert why(astray.consider()) is Why.SEVERAL_RECIPIENTS


@pytest.mark.parametrize("value", [b"", b" 1 1 AAAA", b"\xff", b" 1 1 " + b"QUJD" * 5000])
def test_a_forged_mark_is_removed_and_ignored(value: bytes) -> None:
    forged = Field(MARK, value)
    at_the_hop = refused(mail(site(), forged, client=HOP, recipients=TO[:1]))
    assert why(at_the_hop) is None
    assert at_the_hop.notes == ("an X-Smtpapi-Split that is not ours",)
    sent = mail(site(added="shared"), forged, recipients=TO[:1])
    assert sent.consider().counts == ()
    assert MARK not in names(sent.queued().message)


def test_a_forged_mark_before_the_real_one_does_not_hide_it() -> None:
    there = queued(api(campaign_id="c"))
    copy = there.hop(TO[0])
    copy.message = replace(copy.message, fields=(Field(MARK, b" 1 1 AAAA"), *copy.message.fields))
    decision = copy.consider().decision
    assert decision is not None
    assert decision.campaign == "c"
    assert MARK not in names(copy.queued().message)


def test_strangers_at_the_hop_s_listener_gain_nothing_by_a_mark() -> None:
    stranger = replace(STRANGER, daemon_address="127.0.0.1", daemon_port=10026)
    sent = mail(site(), Field(MARK, b" 1 1 AAAA"), api(bcc=["x@example.net"]), client=stranger)
    assert sent.consider().outcome == Leave(Why.UNTRUSTED)


def test_a_mark_counts_on_the_hop_s_listener_alone() -> None:
    there = queued(api(campaign_id="c"), client=LOGGED_IN)
    for elsewhere in (
        replace(HOP, daemon_port=25),
        replace(HOP, daemon_address="192.0.2.1"),
        replace(HOP, daemon_port=None),
        replace(HOP, daemon_address=""),
    ):
        considered = there.hop(TO[0], client=elsewhere).consider()
        assert considered.decision is not None
        assert considered.decision.campaign == ""
        assert why(considered) is None
    assert there.hop(TO[0], client=STRANGER).consider().outcome == Leave(Why.UNTRUSTED)


def test_a_hop_to_the_wrong_listener_goes_round_once() -> None:
    """Else the MTA would send the mail round until it counts too many Received fields."""
    there = queued()
    astray = replace(there.hop(TO[0], client=replace(HOP, daemon_port=25)), recipients=TO)
    considered = astray.consider()
    assert why(considered) is Why.SEVERAL_RECIPIENTS
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.recipients == ()
    assert MARK not in names(astray.queued().message)


def test_no_mail_is_split_at_the_hop_s_listener() -> None:
    assert why(mail(site(), client=HOP).consider()) is Why.SEVERAL_RECIPIENTS


def test_without_a_listener_no_mark_counts() -> None:
    there = queued(api(campaign_id="c"))
    settings = load_text(
        """smtpapi { } rewriting { split_listener = "" }
        ESMTP_Listener { Listen ":25" { } click_tracking_enabled = true tracking_domain = "t.example.net" }"""
    )
    decision = there.hop(TO[0], site=Site.build(settings, RING)).consider().decision
    assert decision is not None
    assert decision.campaign == ""


def test_a_listener_on_ipv6_is_known() -> None:
    settings = load_text(
        """smtpapi { } rewriting { several_recipients = split split_listener = "[::1]:10026" }
        ESMTP_Listener { Listen ":25" { } click_tracking_enabled = true tracking_domain = "t.example.net" }"""
    )
    there = queued(api(campaign_id="c"), where=Site.build(settings, RING))
    decision = there.hop(TO[0], client=replace(HOP, daemon_address="IPv6:::1")).consider().decision
    assert decision is not None
    assert decision.campaign == "c"


def test_a_copy_that_was_accepted_is_not_sent_back_for_a_policy_that_changed() -> None:
    there = queued()
    policy = """
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    vctx.set(core.VCTX_RCPT, "smtpapi_campaign_id", "x" * 65)
"""
    copy = there.hop(TO[0], site=site(policy=policy))
    assert why(copy.consider()) is Why.POLICY_FAILED
    assert MARK not in names(copy.queued().message)


# --- faults of ours


def test_a_fault_while_the_mark_is_read_leaves_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    there = queued()

    def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(split_header, "unseal", fails)
    copy = there.hop(TO[0])
    assert why(copy.consider()) is Why.INTERNAL_ERROR
    assert MARK not in names(copy.queued().message)


def test_a_fault_on_the_second_pass_still_takes_the_mark_out(monkeypatch: pytest.MonkeyPatch) -> None:
    there = queued()

    def fails(*_: object, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(tracking, "plan", fails)
    copy = there.hop(TO[0])
    assert why(copy.consider()) is Why.INTERNAL_ERROR
    assert MARK not in names(copy.queued().message)


def test_mail_without_a_mark_costs_no_hash_before_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "Fingerprint", None)
    assert mail(site(), client=STRANGER).consider().outcome == Leave(Why.UNTRUSTED)


def test_a_copy_goes_over_the_hop_once_whatever_may_be_added() -> None:
    copy = mail(site(added="own"), recipients=TO[:1]).queued().hop(TO[0])
    made = copy.consider().outcome
    assert isinstance(made, Plan)
    assert (made.recipients, made.why) == ((), None)
    assert made.edits
