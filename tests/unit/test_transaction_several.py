"""What a message for several recipients gets, by `rewriting.several_recipients`."""

from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

import pytest

from engagement.settings import SettingsError, load_text
from hop_mail import BODY, CLIENT, NOW, STRANGER, TO, api, identities, mail, names, site
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Plan, Recipient, Refuse, Why
from smtpapi.pipeline.transaction import MessageResult, consider

ONLY_ANN = """
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    if not msg.recipient.startswith("ann"):
        vctx.set(core.VCTX_MESS, "smtpapi_click_tracking", "0")
        vctx.set(core.VCTX_MESS, "smtpapi_open_tracking", "0")
"""
NO_ONE = ONLY_ANN.replace("ann", "nobody")


def why(considered: MessageResult) -> Why | None:
    assert not isinstance(considered.outcome, Refuse | Discard)
    return considered.outcome.why


def added(considered: MessageResult) -> list[str]:
    assert isinstance(considered.outcome, Plan)
    return [change.name for change in considered.outcome.headers if change.value is not None]


# --- untracked, and what is never split


@pytest.mark.parametrize("mode", ["untracked", "defer"])
def test_without_a_hop_several_recipients_get_no_links(mode: str) -> None:
    considered = mail(site(mode), api(campaign_id="c")).consider()
    assert considered.outcome == Plan((HeaderChange("X-MSYS-API", 1, None),), why=Why.SEVERAL_RECIPIENTS)
    assert [record.recipient for record in considered.injections] == list(TO)
    assert {(record.opens, record.clicks, record.outcome) for record in considered.injections} == {
        (False, False, "several-recipients")
    }


@pytest.mark.parametrize("mode", ["untracked", "shared", "defer", "split", "readdress"])
def test_one_recipient_is_tracked_in_place_whatever_the_mode(mode: str) -> None:
    considered = mail(site(mode, added="shared"), recipients=TO[:1]).consider()
    assert why(considered) is None
    assert isinstance(considered.outcome, Plan)
    assert [edit.kind for edit in considered.outcome.edits] == ["link", "pixel"]


@pytest.mark.parametrize("mode", ["split", "untracked"])
def test_one_recipient_named_twice_is_one_recipient(mode: str) -> None:
    considered = mail(
        site(mode, added="shared"), recipients=("ann@example.net", "ann@EXAMPLE.net")
    ).consider()
    assert why(considered) is None
    assert [record.recipient for record in considered.injections] == ["ann@example.net"]


@pytest.mark.parametrize("mode", ["shared", "split", "readdress"])
def test_untrusted_mail_is_neither_split_nor_changed(mode: str) -> None:
    considered = mail(site(mode), Field("X-Smtpapi-Split", b" 1 1 abcd"), client=STRANGER).consider()
    assert considered.outcome == Leave(Why.UNTRUSTED)


@pytest.mark.parametrize(
    ("reason", "fields", "facts"),
    [
        (Why.TRACKING_OFF, (api(options={"click_tracking": False, "open_tracking": False}),), {}),
        (Why.NULL_SENDER, (), {"sender": ""}),
        (Why.DKIM_SIGNED, (Field("DKIM-Signature", b" v=1"),), {}),
        (Why.SMIME, (Field("Content-Type", b" application/pkcs7-mime"),), {}),
        (Why.BYPASSED, (), {"context": {"__bypass_smtpapi": "true"}}),
    ],
)
@pytest.mark.parametrize("mode", ["shared", "split", "readdress"])
def test_mail_that_no_copy_of_could_be_tracked_is_not_split(
    mode: str, reason: Why, fields: tuple[Field, ...], facts: dict[str, Any]
) -> None:
    sent = mail(site(mode), *fields, **facts)
    if reason is Why.SMIME:
        sent.message = type(sent.message)(fields, BODY)
    considered = sent.consider()
    assert why(considered) is reason
    assert not isinstance(considered.outcome, Plan) or considered.outcome.recipients == ()
    assert len(considered.injections) == (0 if reason is Why.BYPASSED else 2)


# --- policy for each recipient


def test_a_recipient_that_policy_tracks_is_enough_to_split() -> None:
    assert why(mail(site(policy=ONLY_ANN)).consider()) is Why.SPLIT
    assert why(mail(site(policy=NO_ONE)).consider()) is Why.TRACKING_OFF


def test_each_recipient_has_the_decision_of_its_own_hook() -> None:
    queued = mail(site(policy=ONLY_ANN)).queued()
    ann, bob = (queued.hop(recipient).consider() for recipient in TO)
    assert (why(ann), why(bob)) == (None, Why.TRACKING_OFF)


def test_a_bypass_for_one_recipient_is_for_that_one_alone() -> None:
    policy = ONLY_ANN.replace("smtpapi_click_tracking", "__bypass_smtpapi").replace('"0"', '"true"', 1)
    queued = mail(site(policy=policy)).queued()
    assert [why(queued.hop(recipient).consider()) for recipient in TO] == [None, Why.BYPASSED]


def test_what_policy_refuses_for_one_recipient_is_refused_for_all() -> None:
    policy = """
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    if msg.recipient.startswith("bob"):
        vctx.set(core.VCTX_RCPT, "smtpapi_campaign_id", "x" * 65)
"""
    for mode in ("untracked", "split"):
        outcome = mail(site(mode, policy=policy)).consider().outcome
        assert outcome == Refuse("550", "5.6.0", "smtpapi_campaign_id context is limited to 64 bytes")


@pytest.mark.parametrize("mode", ["untracked", "split", "readdress"])
def test_a_wrong_header_is_refused_before_anything_is_queued(mode: str) -> None:
    outcome = mail(site(mode), api(metadata=[])).consider().outcome
    assert isinstance(outcome, Refuse)
    assert (outcome.code, outcome.status) == ("550", "5.6.0")


def test_a_hook_that_fails_for_one_recipient_costs_that_one_the_links() -> None:
    policy = "def validate_data_spool_each_rcpt(msg, ac, vctx):\n    1 / msg.recipient.startswith('ann')\n"
    queued = mail(site(policy=policy)).queued()
    assert [why(queued.hop(recipient).consider()) for recipient in TO] == [None, Why.POLICY_FAILED]


def test_variables_of_one_recipient_do_not_reach_the_next() -> None:
    policy = """
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    if msg.recipient.startswith("ann"):
        vctx.set(core.VCTX_MESS, "smtpapi_campaign_id", "for ann")
        vctx.set(core.VCTX_CONN, "cust_for", "ann")
"""
    queued = mail(site(policy=policy)).queued()
    ann, bob = (queued.hop(recipient).consider().decision for recipient in TO)
    assert ann is not None
    assert bob is not None
    assert (ann.campaign, ann.custom) == ("for ann", (("cust_for", "ann"),))
    assert (bob.campaign, bob.custom) == ("", ())


def test_hooks_of_the_message_run_once_and_hold_for_all_copies() -> None:
    policy = """
from smtpapi.policy import core
def validate_data(msg, ac, vctx):
    runs = vctx.get(core.VCTX_CONN, "cust_runs") or ""
    vctx.set(core.VCTX_CONN, "cust_runs", runs + "x")
    vctx.set(core.VCTX_MESS, "smtpapi_campaign_id", f"{len(msg.recipients)} recipients")
"""
    queued = mail(site(policy=policy)).queued()
    for recipient in TO:
        decision = queued.hop(recipient).consider().decision
        assert decision is not None
        assert (decision.campaign, decision.custom) == ("2 recipients", (("cust_runs", "x"),))


# --- shared


def test_shared_links_name_no_one() -> None:
    sent = mail(site("shared"), api(campaign_id="c"))
    considered = sent.consider()
    assert why(considered) is None
    (identity,) = identities(sent.queued().message.body)
    assert (identity.recipient, identity.campaign) == ("", "c")
    assert [record.recipient for record in considered.injections] == list(TO)
    assert {record.message_id for record in considered.injections} == {identity.message_id}
    assert len({record.id for record in considered.injections}) == 2
    assert all(record.opens and record.clicks for record in considered.injections)


def test_shared_links_are_known_as_ours_whoever_gets_them_next() -> None:
    queued = mail(site("shared")).queued()
    assert why(queued.consider()) is Why.ALREADY_TRACKED
    queued.recipients = ("carol@example.net",)
    assert why(queued.consider()) is Why.ALREADY_TRACKED


def test_recipients_with_different_decisions_share_nothing() -> None:
    considered = mail(site("shared", policy=ONLY_ANN)).consider()
    assert why(considered) is Why.SEVERAL_RECIPIENTS
    assert isinstance(considered.outcome, Leave)
    assert considered.outcome.note == "decisions differ between recipients"


# --- split


def test_split_mail_has_its_mark_and_nothing_else_changed() -> None:
    sent = mail(site(), api(campaign_id="c", bcc=["hidden@example.net"]), Field("X-Smtpapi-Split", b"forged"))
    considered = sent.consider()
    plan = considered.outcome
    assert isinstance(plan, Plan)
    assert (plan.why, plan.edits, considered.injections) == (Why.SPLIT, (), ())
    assert added(considered) == ["X-Smtpapi-Split"]
    assert plan.recipients == (Recipient("hidden@example.net"),)
    assert names(sent.queued().message) == ["Content-Type", "Date", "Message-ID", "X-Smtpapi-Split"]


def test_a_mark_is_folded_and_hides_the_header() -> None:
    metadata = {f"k{n}": "v" * n for n in range(40)}
    value = dict(
        (each.name, each.value)
        for each in mail(site(), api(metadata=metadata, bcc=["hidden@example.net"])).queued().message.fields
    )["X-Smtpapi-Split"]
    assert max(map(len, value.split(b"\n"))) <= 76
    assert b"hidden" not in value


def test_a_header_too_long_for_the_hop_leaves_the_mail_untracked() -> None:
    digests = b"".join(sha256(b"%d" % number).digest() for number in range(1450))
    noise = b64encode(digests).decode("ascii")
    considered = mail(site(), api(metadata={"noise": noise})).consider()
    assert why(considered) is Why.SEVERAL_RECIPIENTS
    refused = mail(site(), api(metadata={"noise": noise}, cc=["c@example.net"])).consider().outcome
    assert isinstance(refused, Refuse)
    assert "too long for the hop" in refused.text


def test_sendmail_s_recipients_are_deleted_and_added_anew_while_the_order_for_the_hop_stands() -> None:
    outcome = mail(site("readdress"), api(bcc=["x@d.example"])).consider().outcome
    assert isinstance(outcome, Plan)
    assert outcome.through == "hop@smtpapi.invalid"
    assert outcome.recipients == (
        Recipient("ann@example.net", "ann@example.net"),
        Recipient("bob@example.net", "bob@example.net"),
        Recipient("x@d.example"),
    )


def test_each_spelling_of_a_sendmail_recipient_is_deleted() -> None:
    outcome = (
        mail(site("readdress"), recipients=("a@d.example", "a@D.example", "b@d.example")).consider().outcome
    )
    assert isinstance(outcome, Plan)
    assert [each.instead_of for each in outcome.recipients] == ["a@d.example", "a@D.example", "b@d.example"]


def test_a_recipient_that_cannot_be_named_again_keeps_all_where_they_are() -> None:
    considered = mail(site("readdress"), recipients=("ann@example.net", "\udcff@x.example")).consider()
    assert why(considered) is Why.SEVERAL_RECIPIENTS
    assert isinstance(considered.outcome, Leave)
    assert "too odd for the hop" in considered.outcome.note


def test_without_a_key_nothing_is_split() -> None:
    assert why(mail(site(ring=None)).consider()) is Why.NO_KEY


# --- the session


def test_a_session_s_variables_go_on_after_a_split_message() -> None:
    policy = "from smtpapi.policy import core\n"
    policy += "def validate_connect(ac, vctx): vctx.set(core.VCTX_CONN, 'cust_a', 'x')\n"
    first = mail(site(policy=policy)).consider()
    assert first.connection_context["cust_a"] == "x"


def test_a_hop_s_session_keeps_nothing_of_a_copy() -> None:
    policy = "from smtpapi.policy import core\n"
    policy += "def validate_connect(ac, vctx): vctx.set(core.VCTX_CONN, 'cust_a', 'x')\n"
    policy += "def validate_data_spool_each_rcpt(msg, ac, vctx): vctx.set(core.VCTX_CONN, 'cust_b', 'y')\n"
    queued = mail(site(policy=policy), client=Client("192.0.2.9", login="ida", daemon_port=25)).queued()
    considered = queued.hop(TO[0], context={"of": "the hop"}).consider()
    assert considered.decision is not None
    assert dict(considered.decision.custom) == {"cust_a": "x", "cust_b": "y"}
    assert considered.connection_context == {"of": "the hop"}


# --- notation in text


NOTED = b'See http://x.example/a[[data-msys-clicktrack="0"]] now\r\n'
TEXT_PART = b"See http://x.example/a now\r\n"


@pytest.mark.parametrize(
    ("mode", "facts", "reason"),
    [
        ("untracked", {"recipients": TO[:1]}, Why.TRACKING_OFF),
        ("split", {}, Why.TRACKING_OFF),
        ("untracked", {}, Why.SEVERAL_RECIPIENTS),
    ],
)
def test_notation_is_taken_out_of_untracked_text(mode: str, facts: dict[str, object], reason: Why) -> None:
    off = api(options={"click_tracking": False, "open_tracking": False})
    sent = mail(site(mode), *([off] if reason is Why.TRACKING_OFF else []), body=NOTED, **facts)
    sent.message = type(sent.message)(
        (Field("Content-Type", b" text/plain"), *sent.message.fields[1:]), NOTED
    )
    considered = sent.consider()
    assert why(considered) is reason
    queued = sent.queued()
    assert queued.message.body == TEXT_PART
    assert "X-MSYS-API" not in names(queued.message)
    assert not any(record.clicks or record.opens for record in considered.injections)


@pytest.mark.parametrize("fields", [(Field("DKIM-Signature", b" v=1"),), (Field("ARC-Seal", b" i=1"),)])
def test_notation_stays_where_a_signature_would_break(fields: tuple[Field, ...]) -> None:
    off = api(options={"click_tracking": False, "open_tracking": False})
    sent = mail(site(), off, *fields, body=NOTED, recipients=TO[:1])
    sent.message = type(sent.message)(
        (Field("Content-Type", b" text/plain"), *sent.message.fields[1:]), NOTED
    )
    assert sent.queued().message.body == NOTED


# --- configuration


def test_split_needs_a_listener() -> None:
    with pytest.raises(SettingsError, match="split without a split_listener"):
        load_text('rewriting { several_recipients = split split_listener = "" }')


def test_a_link_to_a_host_of_the_tracker_is_ours() -> None:
    where = site("untracked")
    settings = load_text(
        """smtpapi { } tracker { hosts = ("Old.Example.Net") }
        ESMTP_Listener { Listen ":25" { } click_tracking_enabled = true tracking_domain = "t.example.net" }"""
    )
    where = type(where).build(settings, where.ring)
    body = b'<a href="http://old.example.net/f/a/x">x</a>\r\n'
    outcome = mail(where, body=body, recipients=TO[:1], client=CLIENT).consider().outcome
    assert isinstance(outcome, Plan)
    assert [skipped.reason.value for skipped in outcome.skipped] == ["own-host"]


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, Why.SPLIT), (1_000.0, Why.OVER_TIME)])
def test_a_long_multipart_for_several_is_given_up_when_its_time_is_over_and_not_before(
    seconds: float, expected: Why
) -> None:
    """Whether it holds anything to edit is looked for within the budget, before it takes the hop."""
    part = b"--x\r\nContent-Type: text/html\r\n\r\n" + BODY
    under_way = mail(site(options=""), body=part * 3000 + b"--x--\r\n")
    fields = [each for each in under_way.message.fields if each.name.lower() != "content-type"]
    typed = Field("Content-Type", b" multipart/mixed; boundary=x")
    message = replace(under_way.message, fields=(*fields, typed))
    rules = replace(under_way.site.rules, max_parts=10_000)
    ticks = count(0, seconds)
    envelope = Envelope(under_way.client, under_way.sender, under_way.recipients, "Q1")
    considered = consider(
        replace(under_way.site, rules=rules), envelope, message, now=NOW, tick=lambda: next(ticks)
    )
    assert why(considered) is expected
