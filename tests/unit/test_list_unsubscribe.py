"""Whose copies get the fields of one-click unsubscribing, and what stands in them."""

import email
import email.policy
import re
from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.links.model import Identity, Kind, Link
from engagement.links.token import open_token
from engagement.links.urls import read_url
from hop_mail import RING, TO, Mail, api, applied, mail, site
from smtpapi.model.envelope import Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan, Why
from smtpapi.pipeline.transaction import consider

ON = "list_unsubscribe_enabled = true"
OFF = ON + " click_tracking_enabled = false open_tracking_enabled = false"
ANN = TO[:1]


def outcome(sent: Mail) -> tuple[Message, Why | None]:
    made = sent.consider().outcome
    if isinstance(made, Plan):
        return applied(sent.message, made), made.why
    return sent.message, getattr(made, "why", None)


def parsed(message: Message) -> EmailMessage:
    """The header as a parser reads it that is none of ours."""
    raw = b"".join(name.encode() + b":" + value + b"\n" for name, value in message.fields) + b"\n"
    return email.message_from_bytes(raw, policy=email.policy.default)


def leaving(message: Message) -> tuple[Identity, Link | None] | None:
    """Whom the link of the field is for, and from which list; None without the fields."""
    found = parsed(message)
    fields, posts = found.get_all("List-Unsubscribe", []), found.get_all("List-Unsubscribe-Post", [])
    assert len(fields) == len(posts) <= 1
    if not fields:
        return None
    assert posts == ["List-Unsubscribe=One-Click"]
    urls = re.findall(r"<(https:[^>]+)>", fields[0])
    assert len(urls) == 1
    requested = read_url(urls[0].encode())
    assert requested is not None
    opened = open_token(requested.token, RING)
    assert opened.kind is Kind.LIST_UNSUBSCRIBE
    return opened.identity, opened.link


def of(sent: Mail) -> tuple[Identity, Link | None]:
    found = leaving(outcome(sent)[0])
    assert found is not None
    return found


def test_off_by_default() -> None:
    assert leaving(outcome(mail(site("untracked"), recipients=ANN))[0]) is None


def test_link_is_for_the_recipient_of_the_copy_and_has_its_labels() -> None:
    sent = mail(site("untracked", ON), api(campaign_id="c", tags=["a"], metadata={"x": "y"}), recipients=ANN)
    identity, link = of(sent)
    assert (identity.recipient, identity.campaign, identity.tags, identity.metadata) == (
        *ANN,
        "c",
        ("a",),
        "",
    )
    assert link is None
    # Of the same message as its links, so that events of both meet.
    injection = sent.consider().injections[0]
    assert (injection.message_id, injection.transmission_id) == (
        identity.message_id,
        identity.transmission_id,
    )


def test_same_mail_sent_again_has_the_same_link() -> None:
    sent = mail(site("untracked", ON), recipients=ANN)
    assert outcome(sent)[0] == outcome(replace(sent, queue_id="Q2", now=sent.now + 90))[0]


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ([api(options={"transactional": True})], ON),
        ([Field("list-unsubscribe", b" <mailto:x@example.net>")], ON),
        ([Field("List-Unsubscribe-Post", b" List-Unsubscribe=One-Click")], ON),
        ([Field("DKIM-Signature", b" v=1; d=example.org")], ON),
        ([Field("ARC-Seal", b" i=1")], ON),
        ([Field("Auto-Submitted", b" auto-replied")], ON),
        ([], ON + ' context = [ smtpapi_list_unsubscribe = "false" ]'),
        ([], ON + ' context = [ __bypass_smtpapi = "1" ]'),
    ],
)
def test_mail_that_gets_none(fields: list[Field], options: str) -> None:
    sent = mail(site("untracked", options), *fields, recipients=ANN)
    after, _ = outcome(sent)
    named = {"list-unsubscribe", "list-unsubscribe-post"}
    assert [each for each in after.fields if each.name.lower() in named] == [
        each for each in sent.message.fields if each.name.lower() in named
    ]


@pytest.mark.parametrize("sender", [""])
def test_bounces_get_none(sender: str) -> None:
    assert leaving(outcome(mail(site("untracked", ON), recipients=ANN, sender=sender))[0]) is None


@pytest.mark.parametrize("recipient", ["postmaster", ""])
def test_who_has_no_address_gets_none(recipient: str) -> None:
    assert leaving(outcome(mail(site("untracked", ON), recipients=(recipient,)))[0]) is None


@pytest.mark.parametrize(
    "fields",
    [
        [Field("Content-Type", b' multipart/signed; boundary="x"')],
        [Field("Content-Type", b" application/pkcs7-mime")],
        [Field("Content-Type", b" image/png")],
    ],
)
def test_fields_come_where_the_body_has_no_place_for_links(fields: list[Field]) -> None:
    sent = mail(site("untracked", ON), recipients=ANN)
    sent = replace(sent, message=Message((*sent.message.fields[1:], *fields), sent.message.body))
    after, why = outcome(sent)
    assert why is not None
    assert leaving(after) is not None
    assert after.body == sent.message.body


def test_mail_that_comes_by_again_has_one() -> None:
    where = site("untracked", OFF)
    first = mail(where, recipients=ANN)
    once, _ = outcome(first)
    twice, _ = outcome(replace(first, message=once))
    assert once == twice


@pytest.mark.parametrize("options", [ON, OFF])
def test_each_recipient_has_a_link_of_their_own_over_the_hop(options: str) -> None:
    sent = mail(site(options=options))
    queued = sent.queued()
    assert leaving(queued.message) is None
    copies = [of(queued.hop(recipient))[0] for recipient in TO]
    assert [each.recipient for each in copies] == list(TO)
    assert copies[0].message_id != copies[1].message_id


def test_mail_to_one_takes_the_hop_for_those_whom_postfix_adds() -> None:
    queued = mail(site(options=OFF), recipients=ANN).queued()
    assert of(queued.hop(ANN[0]))[0].recipient == ANN[0]
    added = of(queued.hop("archive@example.net", originals=("archive@example.net",)))[0]
    assert (added.recipient, added.rcpt_type) == ("archive@example.net", "bcc")


def test_each_copy_has_its_own_in_the_archive_too() -> None:
    lists = {"cc": [{"email": "cy@example.net"}], "archive": [{"email": "arc@example.net"}]}
    queued = mail(site(options=ON), api(options={}, **lists), recipients=ANN).queued()
    found = {each: of(queued.hop(each))[0].recipient for each in (*ANN, "cy@example.net", "arc@example.net")}
    assert found == {ANN[0]: ANN[0], "cy@example.net": "cy@example.net", "arc@example.net": "arc@example.net"}


@pytest.mark.parametrize("mode", ["shared", "untracked"])
def test_one_body_for_several_names_none_of_them(mode: str) -> None:
    assert leaving(outcome(mail(site(mode, ON)))[0]) is None


def test_without_the_right_to_add_recipients_nobody_shares_a_link() -> None:
    sent = mail(site(options=OFF), recipients=ANN)
    rights = GrantedActions(frozenset({"ADDHDRS", "CHGHDRS", "CHGBODY"}))
    envelope = Envelope(sent.client, sent.sender, sent.recipients, sent.queue_id)
    made = consider(sent.site, envelope, sent.message, now=sent.now, tick=lambda: 0.0, rights=rights).outcome
    assert leaving(applied(sent.message, made) if isinstance(made, Plan) else sent.message) is None


@pytest.mark.parametrize("mode", ["aggregate", "hygiene", "off"])
def test_where_links_name_nobody_this_one_does_and_leads_to_no_other_event(mode: str) -> None:
    sent = mail(site("untracked", ON, top=f"privacy {{ mode = {mode} }}"), recipients=ANN)
    identity, _ = of(sent)
    (injection,) = sent.consider().injections
    assert identity.recipient == ANN[0]
    assert ANN[0] not in injection.recipient
    assert identity.message_id != injection.message_id


@pytest.mark.parametrize(
    ("value", "link"),
    [
        (b" Weekly <news.example.com>", Link(b"news.example.com", "Weekly")),
        (b' "Weekly, and more" <NEWS.example.com>', Link(b"news.example.com", "Weekly, and more")),
        (b" =?utf-8?q?Caf=C3=A9?=\r\n <news.example.com>", Link(b"news.example.com", "Caf\u00e9")),
        (b" <news.example.com>", Link(b"news.example.com")),
        (b" news.example.com", Link(b"news.example.com")),
        (b" <two words>", Link(b"own.example.com")),
        (b"", Link(b"own.example.com")),
        (b" x\xe2\x80\xae y <news.example.com>", Link(b"news.example.com", "x y")),
    ],
)
def test_list_is_that_of_the_mail_then_that_of_the_scope(value: bytes, link: Link) -> None:
    where = site("untracked", ON + ' list_id = "own.example.com"')
    assert of(mail(where, Field("List-Id", value), recipients=ANN))[1] == link


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b" Shop <a@example.org>", "Shop"),
        (b" a@example.org", "a@example.org"),
        (b" =?utf-8?q?M=C3=BCller=2C_Hans?= <a@example.org>", "M\u00fcller, Hans"),
    ],
)
def test_mail_of_no_list_names_its_author(value: bytes, name: str) -> None:
    assert of(mail(site("untracked", ON), Field("From", value), recipients=ANN))[1] == Link(b"", name)


def test_policy_names_the_list_of_a_recipient() -> None:
    where = site("untracked", ON + ' context = [ smtpapi_list_id = "their.example.com" ]')
    assert of(mail(where, recipients=ANN))[1] == Link(b"their.example.com")
    where = site("untracked", ON + ' context = [ smtpapi_list_id = "no list" ]')
    assert any("smtpapi_list_id" in note for note in mail(where, recipients=ANN).consider().notes)


def test_mailto_stands_behind_and_carries_the_token() -> None:
    where = site("untracked", ON + ' list_unsubscribe_mailto = "leave@example.com"')
    value = parsed(outcome(mail(where, recipients=ANN))[0])["List-Unsubscribe"]
    first, second = value.split(", ")
    assert first.startswith("<https://t.example.net/f/a/")
    assert second == f"<mailto:leave@example.com?subject=unsubscribe%20{first[1:-1].rpartition('/')[2]}>"


@given(
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.integers(1, 64),
    st.lists(st.text("abcdefgh", min_size=60, max_size=64), max_size=10),
)
def test_no_line_is_too_long_and_no_value_breaks_out(
    list_id: bytes, author: bytes, local: int, tags: list[str]
) -> None:
    where = site("untracked", ON + ' list_unsubscribe_mailto = "leave@example.com"')
    unfolded = [re.sub(rb"[\r\n]", b"", value) for value in (list_id, author)]
    fields = Field("List-Id", b" " + unfolded[0]), Field("From", b" " + unfolded[1])
    sent = mail(where, *fields, api(tags=tags), recipients=(f"{'a' * local}@{'b' * 60}.{'c' * 60}.example",))
    made = sent.consider().outcome
    assert isinstance(made, Plan)
    for change in made.headers:
        if change.name.startswith("List-") and change.value is not None:
            lines = f"{change.name}: {change.value}".split("\n")
            assert all(len(line) <= 998 for line in lines)
            assert all(line.startswith(" ") for line in lines[1:])
    assert leaving(applied(sent.message, made)) is not None


def test_without_the_right_to_change_bodies_mail_says_why_it_has_no_links() -> None:
    sent = mail(site("untracked", ON), recipients=ANN)
    rights = GrantedActions(GrantedActions().granted - {"CHGBODY"})
    envelope = Envelope(sent.client, sent.sender, sent.recipients, sent.queue_id)
    made = consider(sent.site, envelope, sent.message, now=sent.now, tick=lambda: 0.0, rights=rights).outcome
    assert isinstance(made, Plan)
    assert (made.why, made.edits) == (Why.NOT_GRANTED, ())
    assert made.note == "the MTA does not grant CHGBODY"
