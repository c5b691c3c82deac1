"""cc, bcc and archive: who gets a copy, as what, with whose links (contract.md 9)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagement.links.keys import Ring
from hop_mail import NOW, RING, STRANGER, TO, Mail, api, identities, mail, site
from smtpapi.model.message import Field
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse, Why
from smtpapi.pipeline import site as pipeline_site
from smtpapi.pipeline.transaction import MessageResult
from smtpapi.request import copies
from smtpapi.request.copies import Role
from smtpapi.request.x_msys_api import XMsysApi, parse

LISTS = api(
    cc=["carol@example.net"], bcc=[{"email": "hidden@example.net", "name": "H"}], archive=["box@example.net"]
)
ALL = (*TO, "carol@example.net", "hidden@example.net", "box@example.net")


def outcome(considered: MessageResult) -> Plan | Leave:
    assert not isinstance(considered.outcome, Refuse | Discard), considered.outcome
    return considered.outcome


def added(sent: Mail) -> list[str]:
    plan = sent.consider().outcome
    assert isinstance(plan, Plan)
    return [recipient.address for recipient in plan.recipients]


def header(**lists: list[str]) -> XMsysApi:
    directive = parse([json.dumps(lists).encode()])
    assert isinstance(directive, XMsysApi)
    return directive


def test_copies_ride_with_the_mail_itself() -> None:
    sent = mail(site(), LISTS)
    assert added(sent) == ["carol@example.net", "hidden@example.net", "box@example.net"]
    assert sent.queued().recipients == ALL


def test_one_recipient_with_copies_goes_over_the_hop_too() -> None:
    sent = mail(site(), LISTS, recipients=TO[:1])
    assert outcome(sent.consider()).why is Why.SPLIT
    assert sent.queued().recipients == (TO[0], *ALL[2:])


def test_each_kind_has_its_links_and_its_event() -> None:
    there = mail(site(), LISTS).queued()
    links, events = {}, {}
    for recipient in ALL:
        copy = there.hop(recipient)
        (links[recipient],) = identities(copy.queued().message.body)
        (events[recipient],) = copy.consider().injections
    assert [links[each].recipient for each in ALL] == [*ALL[:4], TO[0]]
    assert [links[each].rcpt_type for each in ALL] == ["", "", "cc", "bcc", ""]
    assert [events[each].rcpt_type for each in ALL] == ["", "", "cc", "bcc", "archive"]
    assert [events[each].recipient for each in ALL] == list(ALL)
    assert len({event.message_id for event in events.values()}) == len(ALL)
    assert len({event.id for event in events.values()}) == len(ALL)
    assert len({event.transmission_id for event in events.values()}) == 1
    for each in ALL[:4]:
        assert events[each].message_id == links[each].message_id


def test_an_archive_copy_has_the_first_recipient_s_links_byte_for_byte() -> None:
    there = mail(site(), LISTS).queued()
    first, box = (there.hop(each).queued().message for each in (TO[0], "box@example.net"))
    assert box.body == first.body
    assert there.hop(TO[1]).queued().message.body != first.body


def test_an_archive_copy_follows_the_first_recipient_s_policy() -> None:
    policy = """
from smtpapi.policy import core
def validate_data_spool_each_rcpt(msg, ac, vctx):
    vctx.set(core.VCTX_RCPT, "smtpapi_campaign_id", msg.recipient)
    vctx.set(core.VCTX_RCPT, "smtpapi_open_tracking", "1" if msg.recipient.startswith("ann") else "0")
"""
    there = mail(site(policy=policy), LISTS).queued()
    first, box = (there.hop(each).queued().message for each in (TO[0], "box@example.net"))
    assert box.body == first.body


def test_an_archive_copy_is_equal_after_a_rotation_between_the_two() -> None:
    there = mail(site(), LISTS).queued()
    later = there.hop("box@example.net", site=site(ring=RING.rotated(b"n" * 32, 2)), now=NOW + 90_000)
    assert later.queued().message.body == there.hop(TO[0]).queued().message.body


def test_an_archive_copy_is_equal_whatever_case_or_alias_the_mta_makes_of_the_first() -> None:
    there = mail(site(), LISTS, recipients=("ann@EXAMPLE.net", TO[1])).queued()
    box = there.hop("box@example.net").queued().message.body
    assert there.hop("ann@example.net").queued().message.body == box
    alias = there.hop("ann@inside.example", originals=("ann@EXAMPLE.net",))
    assert alias.queued().message.body == box


def test_a_copy_whose_address_is_an_alias_keeps_its_role() -> None:
    there = mail(site(), LISTS).queued()
    (event,) = there.hop("c@inside.example", originals=("carol@example.net",)).consider().injections
    assert (event.rcpt_type, event.recipient) == ("cc", "c@inside.example")
    (event,) = there.hop("b@inside.example", originals=(TO[1],)).consider().injections
    assert event.rcpt_type == ""


def test_roles_do_not_depend_on_the_case_of_the_domain() -> None:
    there = mail(site(), api(cc=["carol@Example.NET"], bcc=["hidden@EXAMPLE.net"])).queued()
    for address, role in (("carol@example.net", "cc"), ("hidden@example.net", "bcc")):
        (event,) = there.hop(address).consider().injections
        assert event.rcpt_type == role


def test_each_address_gets_one_message_in_the_first_of_its_roles() -> None:
    lists = api(
        cc=["ann@EXAMPLE.net", "x@example.net", "x@EXAMPLE.net"],
        bcc=["x@example.net", "y@example.net"],
        archive=["y@example.net", "z@example.net", "bob@example.net"],
    )
    there = mail(site(), lists)
    assert added(there) == ["x@example.net", "y@example.net", "z@example.net"]
    roles = {
        each: there.queued().hop(each).consider().injections[0].rcpt_type
        for each in (*TO, "x@example.net", "y@example.net", "z@example.net")
    }
    assert list(roles.values()) == ["", "", "cc", "bcc", "archive"]


def test_copies_are_made_of_mail_that_is_not_tracked() -> None:
    off = api(cc=["carol@example.net"], options={"click_tracking": False, "open_tracking": False})
    there = mail(site(), off)
    assert outcome(there.consider()).why is Why.SPLIT
    considered = there.queued().hop("carol@example.net").consider()
    assert outcome(considered).why is Why.TRACKING_OFF
    assert considered.injections[0].rcpt_type == "cc"


# --- what cannot be


@pytest.mark.parametrize("mode", ["untracked", "shared", "defer"])
def test_copies_without_a_hop_are_refused_and_not_forgotten(mode: str) -> None:
    refused = Refuse("550", "5.6.0", "X-MSYS-API cc, bcc and archive are not enabled here")
    for recipients in (TO, TO[:1]):
        assert mail(site(mode), LISTS, recipients=recipients).consider().outcome == refused


@pytest.mark.parametrize("mode", ["untracked", "split"])
def test_lists_that_name_recipients_only_need_no_copy(mode: str) -> None:
    sent = mail(site(mode, added="shared"), api(cc=["ann@Example.net"]), recipients=TO[:1])
    assert outcome(sent.consider()).why is None
    assert dict((each.name, each.value) for each in sent.queued().message.fields)["Cc"] == b" ann@Example.net"


def test_strangers_cannot_make_copies() -> None:
    assert mail(site(), LISTS, client=STRANGER).consider().outcome == Leave(Why.UNTRUSTED)


def test_a_refused_mail_adds_no_one() -> None:
    sent = mail(site(), api(cc=["carol@example.net"], campaign_id="x" * 65))
    assert isinstance(sent.consider().outcome, Refuse)
    sent = mail(site(), api(cc=["no address"]))
    assert isinstance(sent.consider().outcome, Refuse)


TRY_AGAIN = ("451", "4.3.0")


def test_copies_that_cannot_be_made_now_put_the_mail_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail would else go out, and its copies never."""
    policy = "def validate_data(msg, ac, vctx): 1 / 0\n"
    for where in (site(ring=None), site(ring=Ring()), site(policy=policy)):
        refused = mail(where, LISTS).consider().outcome
        assert isinstance(refused, Refuse)
        assert (refused.code, refused.status) == TRY_AGAIN
        assert not isinstance(mail(where).consider().outcome, Refuse)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(pipeline_site, "decide", fails)
    refused = mail(site(), LISTS).consider().outcome
    assert isinstance(refused, Refuse)
    assert (refused.code, refused.status) == TRY_AGAIN
    assert outcome(mail(site()).consider()).why is Why.INTERNAL_ERROR


def test_bypassed_mail_makes_no_copies() -> None:
    assert outcome(mail(site(), LISTS, context={"__bypass_smtpapi": "1"}).consider()).why is Why.BYPASSED


def test_a_thousand_copies_go_over_the_hop() -> None:
    many = [f"reader-{number:04}@example.net" for number in range(1000)]
    assert len(added(mail(site(), api(bcc=many)))) == 1000
    there = mail(site(), api(bcc=many), recipients=(*TO, *many[:500])).queued()
    assert there.hop(many[0]).consider().injections[0].rcpt_type == ""
    assert there.hop(many[999]).consider().injections[0].rcpt_type == "bcc"


# --- properties


_ADDRESSES = st.sampled_from(
    [f"{local}@{domain}" for local in ("a", "A", "b+x") for domain in ("d.example", "D.example", "e.example")]
)
_LISTS = st.lists(_ADDRESSES, max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(_ADDRESSES, min_size=1, max_size=5), _LISTS, _LISTS, _LISTS)
def test_everyone_named_gets_one_message_in_one_role(
    recipients: list[str], cc: list[str], bcc: list[str], archive: list[str]
) -> None:
    directive = header(cc=cc, bcc=bcc, archive=archive)
    more = copies.added(recipients, directive)
    reached = [copies.same(each) for each in [*dict.fromkeys(map(copies.same, recipients))]]
    reached += [copies.same(entry.address) for _, entry in more]
    assert sorted(reached) == sorted({copies.same(each) for each in [*recipients, *cc, *bcc, *archive]})
    twice = copies.named_twice(recipients, directive)
    for recipient in recipients:
        assert copies.find(recipient, twice, directive)[0] is Role.ORIGINAL
    for role, entry in more:
        assert copies.find(entry.address, twice, directive) == (role, entry)


def test_a_field_of_copies_is_no_field_of_ours_when_no_one_is_listed() -> None:
    there = mail(site(), Field("Bcc", b" x@example.net"), api(campaign_id="c")).queued()
    assert [each.name for each in there.hop(TO[0]).queued().message.fields].count("Bcc") == 1
