"""Recipients whom Postfix adds behind the filter: `rewriting.added_recipients` (known-faults.md, row H17)."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from hop_mail import BODY, TO, Mail, api, identities, mail, names, site
from smtpapi.hop import split_header
from smtpapi.model.message import Field
from smtpapi.model.outcome import Plan, Why
from smtpapi.pipeline.transaction import MessageResult

ANN, BOX = "ann@example.net", "box@example.com"


def why(considered: MessageResult) -> Why | None:
    assert isinstance(considered.outcome, Plan)
    return considered.outcome.why


def queued(added: str, *fields: Field, **facts: Any) -> Mail:
    return mail(site(added=added), *fields, **{"recipients": TO[:1], **facts}).queued()


def copy_of(there: Mail, recipient: str, original: str) -> Mail:
    """As Postfix brings it in: ORCPT names whom the sender named, or who was added."""
    return there.hop(recipient, originals=(original,))


def roles(considered: MessageResult) -> list[tuple[str, str]]:
    return [(each.recipient, each.rcpt_type) for each in considered.injections]


def test_h17_mail_to_one_recipient_takes_the_hop() -> None:
    considered = mail(site(), recipients=TO[:1]).consider()
    assert why(considered) is Why.SPLIT
    assert considered.injections == ()
    assert isinstance(considered.outcome, Plan)
    assert considered.outcome.note == "1 copy"
    assert considered.outcome.recipients == ()


def test_h17_each_copy_has_its_own_links_and_what_was_added_is_bcc() -> None:
    there = queued("own")
    for recipient, kind in ((ANN, ""), (BOX, "bcc")):
        copy = copy_of(there, recipient, recipient)
        (identity,) = identities(copy.queued().message.body)
        assert (identity.recipient, identity.rcpt_type) == (recipient, kind)
        assert roles(copy.consider()) == [(recipient, kind)]
        assert copy.queued().message.lacks(("bcc", "cc"))


def test_h17_none_leaves_links_out_of_what_was_added_alone() -> None:
    there = queued("none", body=BODY.replace(b"<p>", b"[[<p>"))
    added = copy_of(there, BOX, BOX)
    assert why(added.consider()) is Why.ADDED_RECIPIENT
    assert added.queued().message.body == there.message.body
    assert names(added.queued().message) == ["Content-Type", "Date", "Message-ID"]
    assert roles(added.consider()) == [(BOX, "bcc")]
    assert {each.recipient for each in identities(copy_of(there, ANN, ANN).queued().message.body)} == {ANN}


def test_h17_shared_tracks_at_once() -> None:
    assert why(mail(site(added="shared"), recipients=TO[:1]).consider()) is None


@pytest.mark.parametrize("added", ["own", "none"])
def test_h17_members_of_an_alias_are_originals(added: str) -> None:
    for sent, original in (
        (queued(added), ANN),
        (queued(added, originals=("list@other.example",)), "list@other.example"),
    ):
        member = copy_of(sent, "member@example.org", original)
        (identity,) = identities(member.queued().message.body)
        assert (identity.recipient, identity.rcpt_type) == ("member@example.org", "")


@pytest.mark.parametrize("original", ["", "ann@EXAMPLE.net"])
def test_h17_whom_no_one_is_sure_about_is_an_original(original: str) -> None:
    (identity,) = identities(copy_of(queued("none"), ANN, original).queued().message.body)
    assert identity.rcpt_type == ""


def test_h17_copies_that_the_header_asks_for_keep_their_roles() -> None:
    there = queued("none", api(cc=["carol@example.net"], archive=["arc@example.net"]))
    for recipient, kind in (("carol@example.net", "cc"), ("arc@example.net", "archive"), (ANN, "")):
        copy = copy_of(there, recipient, recipient).consider()
        assert roles(copy) == [(recipient, kind)]
        assert why(copy) is None
    assert why(copy_of(there, BOX, BOX).consider()) is Why.ADDED_RECIPIENT


def test_h17_mail_that_nobody_wants_tracked_takes_no_hop() -> None:
    for sent in (
        mail(site(), api(options={"click_tracking": False, "open_tracking": False}), recipients=TO[:1]),
        mail(site(), Field("DKIM-Signature", b" v=1"), recipients=TO[:1]),
        mail(site(), Field("Content-Type", b" application/pkcs7-mime"), recipients=TO[:1]),
    ):
        assert why(sent.consider()) if isinstance(sent.consider().outcome, Plan) else True
        assert "X-Smtpapi-Split" not in names(sent.message)
        outcome = sent.consider().outcome
        changes = outcome.headers if isinstance(outcome, Plan) else ()
        assert split_header.HEADER not in [each.name for each in changes]


def test_h17_a_mark_of_an_earlier_release_names_nobody_and_counts() -> None:
    there = queued("none")
    (value,) = there.message.values(split_header.HEADER)
    assert there.site.ring is not None
    opened = split_header.unseal(value, there.site.ring, there.now)
    assert not isinstance(opened, split_header.Unopened)
    entry, key = opened
    assert entry.has(split_header.name_of(ANN))
    assert not entry.has(split_header.name_of(BOX))
    old = split_header.seal(replace(entry, names=b""), key)
    fields = tuple(
        Field(each.name, old.encode()) if each.name == split_header.HEADER else each
        for each in there.message.fields
    )
    there.message = replace(there.message, fields=fields)
    assert why(copy_of(there, BOX, BOX).consider()) is None


def test_h17_a_mark_too_long_for_the_hop_does_not_cost_the_links() -> None:
    session = {f"k{number}": sha256(b"%d" % number).hexdigest() for number in range(2000)}
    considered = mail(site(), recipients=TO[:1], context=session).consider()
    assert why(considered) is None
    assert roles(considered) == [(ANN, "")]


def test_h17_a_thousand_recipients_fit() -> None:
    people = tuple(f"person.number.{number}@example{number % 7}.net" for number in range(1000))
    originals = tuple(f"other.number.{number}@example.org" for number in range(1000))
    considered = mail(site(), recipients=people, originals=originals).consider()
    assert why(considered) is Why.SPLIT
