"""Recipients on the suppression list, in the filter (smtpapi.pipeline.suppression, docs/suppression.md)."""

import time
from dataclasses import replace

import pytest

from engagement.events.model import Injection, MessageEvent
from engagement.settings import load_text
from engagement.suppression.model import Entry, MailKind, Source
from engagement.suppression.snapshot import EMPTY, hash_of
from hop_mail import CLIENT, NOW, STRANGER, TO, api, mail
from hop_mail import site as hop_site
from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Field
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse
from smtpapi.pipeline.site import MessageResult, Site
from smtpapi.pipeline.suppression import at_rcpt
from smtpapi.pipeline.transaction import consider

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL
ANN, BOB = TO[:2]
REASON = "recipient address was suppressed due to customer policy: "


def site(action: str, *entries: Entry, mode: str = "untracked", extra: str = "") -> Site:
    made = hop_site(mode, added="shared", options=f"suppression_action = {action}\n{extra}")
    table = EMPTY.changed({hash_of(each.key): each.source for each in entries})
    return replace(made, suppressed=lambda: table)


def taken_out(result: MessageResult) -> list[tuple[str, str, str]]:
    """Return recipient, reason and class of each who was taken out; each injection has its bounce."""
    records = result.suppressed
    found = []
    for injection, bounce in zip(records[::2], records[1::2], strict=True):
        assert isinstance(injection, Injection)
        assert isinstance(bounce, MessageEvent)
        assert bounce.message_id == injection.message_id
        assert (bounce.type, bounce.bounce_class, bounce.error_code) == ("bounce", 25, "554")
        assert injection.outcome == "suppressed"
        found.append((injection.recipient, injection.rcpt_type, bounce.raw_reason.removeprefix("554 5.7.1 ")))
    return found


def test_the_list_is_not_asked_where_no_scope_says_so() -> None:
    result = mail(site("off", Entry(ANN, N)), recipients=(ANN,)).consider()
    assert isinstance(result.outcome, Plan)
    assert result.suppressed == ()


@pytest.mark.parametrize("action", ["refuse", "refuse_at_rcpt"])
def test_mail_for_nobody_else_is_refused(action: str) -> None:
    result = mail(site(action, Entry(ANN, N, Source.SPAM_COMPLAINT)), recipients=(ANN.upper(),)).consider()
    assert result.outcome == Refuse("554", "5.7.1", REASON + "Spam Complaint")
    assert taken_out(result) == [(ANN.upper(), "", REASON + "Spam Complaint")]
    assert result.counts == ("suppressed",)


def test_mail_for_nobody_else_is_dropped() -> None:
    result = mail(site("remove", Entry(ANN, N)), recipients=(ANN,)).consider()
    assert result.outcome == Discard(REASON + "Manually Added")
    assert taken_out(result) == [(ANN, "", REASON + "Manually Added")]
    assert result.injections == ()


@pytest.mark.parametrize("action", ["remove", "refuse", "refuse_at_rcpt"])
def test_among_several_one_is_taken_out(action: str) -> None:
    result = mail(site(action, Entry(BOB, N)), recipients=(ANN, BOB)).consider()
    assert isinstance(result.outcome, Plan)
    assert result.outcome.leaving == (BOB,)
    assert [edit.kind for edit in result.outcome.edits] == ["link", "pixel"]  # who remains is one
    assert [each.recipient for each in result.injections] == [ANN]
    assert taken_out(result) == [(BOB, "", REASON + "Manually Added")]


def test_each_spelling_of_a_recipient_is_taken_out() -> None:
    name, domain = BOB.split("@")
    other = f"{name}@{domain.upper()}"
    result = mail(site("remove", Entry(BOB, N)), recipients=(BOB, ANN, other)).consider()
    assert isinstance(result.outcome, Plan)
    assert result.outcome.leaving == (BOB, other)


@pytest.mark.parametrize("mode", ["split", "readdress"])
def test_nobody_on_the_list_goes_over_the_hop(mode: str) -> None:
    result = mail(site("remove", Entry(BOB, N), mode=mode), recipients=TO).consider()
    assert isinstance(result.outcome, Plan)
    assert result.outcome.leaving == (BOB,)
    assert BOB not in [each.instead_of for each in result.outcome.recipients]
    assert [recipient for recipient, _, _ in taken_out(result)] == [BOB]


def test_copies_are_not_made_for_who_is_on_the_list() -> None:
    where = site("remove", Entry("kim@example.net", N), Entry("arc@example.net", N), mode="split")
    header = api(cc=["kim@example.net", "lee@example.net"], archive=["arc@example.net"])
    result = mail(where, header, recipients=(ANN,)).consider()
    assert isinstance(result.outcome, Plan)
    assert [each.address for each in result.outcome.recipients] == ["lee@example.net"]
    assert [each[:2] for each in taken_out(result)] == [
        ("kim@example.net", "cc"),
        ("arc@example.net", "archive"),
    ]


@pytest.mark.parametrize(
    ("kind", "options", "refused"),
    [
        (N, {}, True),
        (N, {"transactional": False}, True),
        (N, {"transactional": True}, False),
        (T, {"transactional": True}, True),
        (T, {}, False),
        (N, {"skip_suppression": True}, False),
        (T, {"transactional": True, "skip_suppression": True}, False),
        (N, {"skip_suppression": False}, True),
    ],
)
def test_the_header_says_which_kind_of_mail_it_is(
    kind: MailKind, options: dict[str, bool], refused: bool
) -> None:
    result = mail(site("refuse", Entry(ANN, kind)), api(options=options), recipients=(ANN,)).consider()
    assert isinstance(result.outcome, Refuse) is refused


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (b" The news <news.example.com>", True),
        (b" <NEWS.example.com>\r\n", True),
        (b" <other.example.com>", False),
        (b" news", False),
        (None, False),
    ],
)
def test_an_entry_of_a_list_is_for_its_mail_alone(value: bytes | None, refused: bool) -> None:
    fields = () if value is None else (Field("List-Id", value),)
    where = site("refuse", Entry(ANN, N, list_id="news.example.com"))
    assert isinstance(mail(where, *fields, recipients=(ANN,)).consider().outcome, Refuse) is refused


def test_an_entry_of_a_customer_is_for_their_mail_alone() -> None:
    entry = Entry(ANN, N, tenant="17")
    theirs = site("refuse", entry, extra='context = [ "mo_customer_id" = "17" ]')
    assert isinstance(mail(theirs, recipients=(ANN,)).consider().outcome, Refuse)
    assert not isinstance(mail(site("refuse", entry), recipients=(ANN,)).consider().outcome, Refuse)


def test_mail_of_strangers_and_mail_without_the_module_is_not_concerned() -> None:
    where = site("refuse", Entry(ANN, N))
    assert isinstance(mail(where, recipients=(ANN,), client=STRANGER).consider().outcome, Leave)
    off = load_text("suppression_action = refuse")
    assert isinstance(mail(replace(where, settings=off), recipients=(ANN,)).consider().outcome, Leave | Plan)


def test_an_mta_that_lets_no_recipient_be_deleted_sends_to_all() -> None:
    rights = GrantedActions(GrantedActions().granted - {"DELRCPT"})
    where = site("refuse", Entry(BOB, N))

    def considered(*recipients: str) -> MessageResult:
        message = mail(where).message
        envelope = Envelope(CLIENT, "news@example.org", recipients, "Q1")
        return consider(where, envelope, message, {}, now=NOW, tick=time.monotonic, rights=rights)

    result = considered(ANN, BOB)
    assert result.suppressed == ()
    assert not isinstance(result.outcome, Refuse | Discard)
    assert isinstance(considered(BOB).outcome, Refuse)


def test_mail_that_is_refused_for_another_reason_tells_nothing() -> None:
    where = site("remove", Entry(BOB, N))
    result = mail(where, api(cc=["lee@example.net"]), recipients=(ANN, BOB)).consider()
    assert isinstance(result.outcome, Refuse)
    assert result.suppressed == ()


def test_privacy_keeps_the_recipient_out_of_the_events() -> None:
    where = site("refuse_at_rcpt", Entry(ANN, N))
    settings = replace(where.settings, privacy=load_text("privacy { mode = aggregate }").privacy)
    wide = replace(where.wide, privacy=settings.privacy.mode)
    result = mail(replace(where, settings=settings, wide=wide), recipients=(ANN,)).consider()
    assert isinstance(result.outcome, Refuse)
    assert taken_out(result) == [("", "", REASON + "Manually Added")]
    records = rcpt(replace(where, settings=settings))[1]
    assert ANN not in repr(records)


# --- at RCPT


def rcpt(where: Site, client: Client = CLIENT) -> tuple[Refuse, tuple[Injection | MessageEvent, ...]]:
    found = at_rcpt(
        where,
        client,
        "news@example.org",
        ANN,
        session={},
        event_id="0193a1e0-0000-7000-8000-000000000000",
        now=NOW,
    )
    assert found is not None
    return found


def test_at_rcpt_who_is_suppressed_for_other_than_transactional_mail_is_refused() -> None:
    refusal, records = rcpt(site("refuse_at_rcpt", Entry(ANN, N, Source.LIST_UNSUBSCRIBE)))
    assert refusal == Refuse("554", "5.7.1", REASON + "List Unsubscribe")
    injection, bounce = records
    assert isinstance(injection, Injection)
    assert isinstance(bounce, MessageEvent)
    assert injection.recipient == ANN
    assert (injection.queue_id, injection.recipient_mark) == (bounce.queue_id, bounce.recipient_mark)


@pytest.mark.parametrize(
    ("where", "client"),
    [
        (site("refuse", Entry(ANN, N)), CLIENT),
        (site("refuse_at_rcpt", Entry(ANN, T)), CLIENT),
        (site("refuse_at_rcpt", Entry(ANN, N, list_id="news")), CLIENT),
        (site("refuse_at_rcpt", Entry(ANN, N)), STRANGER),
        (site("refuse_at_rcpt", Entry(ANN, N)), replace(CLIENT, daemon_port=10026)),  # the hop
        (site("refuse_at_rcpt", Entry(ANN, N)), replace(CLIENT, address="", daemon_port=0)),  # sendmail(1)
        (replace(site("refuse_at_rcpt"), suppressed=None), CLIENT),
    ],
)
def test_at_rcpt_nobody_else_is_refused(where: Site, client: Client) -> None:
    local = replace(client, daemon_address="127.0.0.1")
    answer = at_rcpt(where, local, "a@example.org", ANN, session={}, event_id="0" * 32, now=NOW)
    assert answer is None
