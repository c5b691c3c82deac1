"""Tracked addresses computed again are those of the delivered mail, to the byte; or there is none."""

import base64
import json
import quopri
import re
import time
from dataclasses import replace
from typing import Any

import pytest

from delivered_mail import HTML, delivered, several
from engagement.events.model import Injection
from engagement.events.record import BadRecord, decode, encode
from engagement.html_copies.tracked_links import Place, Unknown, tracked_links
from engagement.links.keys import Ring
from engagement.links.model import Link
from hop_mail import FIELDS, RING, Mail, api, applied, mail, site
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Plan

WITH_COPIES = "keep_html_days = 30"


def a_mail(*fields: Field, options: str = WITH_COPIES, ring: Ring = RING, encoding: str = "") -> Mail:
    where = site(options=f"{options} click_tracking_scheme = https", ring=ring, added="shared")
    made = mail(where, *fields, body=HTML, recipients=("ann@example.net",))
    if encoding:
        kind, body = several(encoding)
        made = replace(made, message=Message((kind, *FIELDS[1:], *fields), body))
    return made


def sent(under_way: Mail) -> tuple[bytes, Injection]:
    """What is delivered, decoded, and the record of it."""
    result = under_way.consider()
    assert isinstance(result.outcome, Plan), result.outcome
    body = applied(under_way.message, result.outcome).body
    for piece in re.findall(rb"base64\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n--", body):
        body += base64.b64decode(piece)
    return body + quopri.decodestring(body), result.injections[0]


def known(body: bytes, ring: Ring = RING) -> list[Link]:
    """What a page knows of the targets: those of the HTML part, in their order."""
    places = delivered(body, ring).items()
    return [
        Link(target.encode(), at.name, False, at.ordinal, "html")
        for at, (target, _) in places
        if at.part == "html"
    ]


def same(body: bytes, record: Injection, ring: Ring = RING) -> None:
    record_again = decode(encode(record))
    assert isinstance(record_again, Injection)
    assert record_again == record
    there = delivered(body, ring)
    found = tracked_links(record_again, known(body, ring), ring)
    assert {at: (found.targets[at], found.addresses[at]) for at in found.addresses} == there
    assert there
    assert (found.left, found.why) == (0, None)


LABELS = api(campaign_id="autumn", tags=["a", "b"], metadata={"name": "Ä", "long": "x" * 90})
LONG = api(campaign_id="autumn", metadata={f"k{n}": f"{n:0>60}" for n in range(14)})


@pytest.mark.parametrize("encoding", ["", "7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("fields", [(), (LABELS,)], ids=["bare", "labels"])
def test_addresses_are_those_of_the_mail(encoding: str, fields: tuple[Field, ...]) -> None:
    body, record = sent(a_mail(*fields, encoding=encoding))
    same(body, record)
    assert record.sublinks == ("promo",)
    assert {at.part for at in delivered(body)} == ({"html", "text", "amp"} if encoding else {"html"})


def test_a_long_link_goes_without_its_metadata() -> None:
    under_way = a_mail(LONG, options=f"{WITH_COPIES} max_metadata_len = 4000")
    body, record = sent(under_way)
    assert len(record.metadata) > 800
    same(body, record)


def test_each_recipient_has_their_own() -> None:
    under_way = mail(site(options=WITH_COPIES), LABELS, body=HTML).queued()
    seen = set[str]()
    for recipient in ("ann@example.net", "bob@example.net"):
        body, record = sent(under_way.hop(recipient))
        same(body, record)
        assert record.recipient == recipient
        seen.update(address for _, address in delivered(body).values())
    assert len(seen) == 8


def test_recipients_of_one_copy_share_theirs() -> None:
    under_way = mail(site("shared", options=WITH_COPIES), LABELS, body=HTML)
    body, record = sent(under_way)
    assert len(delivered(body)) == 4
    same(body, record)


def test_a_rotation_changes_nothing_of_earlier_mail() -> None:
    body, record = sent(a_mail(LABELS))
    after = RING.rotated(b"n" * 32, 2)
    same(body, record, after)
    newer, of_newer = sent(a_mail(LABELS, ring=after))
    assert of_newer.link_key != record.link_key
    same(newer, of_newer, after)
    assert delivered(newer, after) != delivered(body)


def test_a_mail_that_is_sent_again_has_the_same() -> None:
    first = a_mail(LABELS)
    body, record = sent(first)
    again, second = sent(replace(first, queue_id="Q2", now=first.now + 90))
    assert delivered(again) == delivered(body)
    same(again, record)
    same(body, second)


def test_without_its_target_a_link_has_no_address() -> None:
    body, record = sent(a_mail(LABELS))
    cut = [link._replace(target=link.target.partition(b"?")[0]) for link in known(body)]
    found = tracked_links(record, cut, RING)
    assert found.left == 1
    lost = Place("html", 1, "top banner")
    there = delivered(body)
    assert found.addresses == {at: address for at, (_, address) in there.items() if at != lost}
    assert tracked_links(record, (), RING).left == 4


def test_without_its_key_a_message_has_none() -> None:
    body, record = sent(a_mail(LABELS))
    rotated = RING.rotated(b"n" * 32, 2)
    for ring in (rotated.revoked(1), Ring().rotated(b"o" * 32, 1, 7)):
        found = tracked_links(record, known(body), ring)
        assert (found.why, found.addresses, found.left) == (Unknown.KEY, {}, 4)
    other = Ring().rotated(b"o" * 32, 1)  # another secret under the same id
    found = tracked_links(record, known(body), other)
    assert (found.why, found.addresses, found.left) == (None, {}, 4)


@pytest.mark.parametrize(
    ("options", "top", "header"),
    [
        ("", "", {}),
        (WITH_COPIES, "privacy { mode = aggregate }", {}),
        (WITH_COPIES, "", {"options": {"transactional": True}}),
    ],
)
def test_nothing_is_kept_where_no_copy_may_be(options: str, top: str, header: dict[str, object]) -> None:
    where = site(options=options, top=top, added="shared")
    body, record = sent(mail(where, api(**header), body=HTML, recipients=("ann@example.net",)))
    assert len(delivered(body)) == record.links == 4
    assert (record.link_marks, record.link_base, record.link_key) == (b"", "", 0)
    assert tracked_links(record, known(body), RING).why is Unknown.NOT_STORED
    assert tracked_links(None, (), RING).why is Unknown.NOT_STORED


def test_a_forged_record_gives_no_address() -> None:
    body, record = sent(a_mail(LABELS))
    for wrong in (
        record._replace(link_marks=bytes(24)),
        record._replace(link_base="https://other.example"),
        record._replace(link_expiry=record.link_expiry + 1),
        record._replace(recipient="bob@example.net", metadata=json.dumps({"a": "b"})),
        record._replace(recipient="b" * 2000),
    ):
        assert tracked_links(wrong, known(body), RING).addresses == {}


@pytest.mark.parametrize(
    "wrong",
    [{"link_key": 0}, {"link_key": 1 << 16}, {"link_expiry": -1}, {"link_marks": b"12345"}],
    ids=["no key", "key", "expiry", "marks"],
)
def test_marks_that_cannot_be_are_no_record(wrong: dict[str, Any]) -> None:
    _, record = sent(a_mail(LABELS))
    with pytest.raises(BadRecord, match="marks of links"):
        decode(encode(record._replace(**wrong)))


def test_a_record_whose_tokens_cannot_be_has_no_address() -> None:
    body, record = sent(a_mail(LABELS))
    assert tracked_links(record._replace(message_id=b""), known(body), RING).addresses == {}


def test_an_archives_copy_has_the_links_of_another_and_no_marks() -> None:
    under_way = mail(
        site(options=WITH_COPIES), api(archive=[{"email": "box@example.net"}]), body=HTML
    ).queued()
    of_roles = {record.rcpt_type: record for record in under_way.hop("box@example.net").consider().injections}
    assert of_roles["archive"].link_marks == b""
    assert of_roles["archive"].link_base == ""


def test_a_thousand_sublinks_make_no_work() -> None:
    links = b"".join(
        b'<a data-msys-sublink="s%d" href="https://shop.example/%d">x</a>' % (number, number)
        for number in range(1000)
    )
    where = site(options=WITH_COPIES, added="shared")
    body, record = sent(mail(where, LABELS, body=links, recipients=("ann@example.net",)))
    assert (len(record.sublinks), len(record.link_marks)) == (16, 256 * 6)
    began = time.process_time()
    found = tracked_links(record, known(body), RING)
    assert time.process_time() - began < 2  # 0.1 on a machine of its own; it was 4
    assert 0 < len(found.addresses) <= 16


def test_a_text_parts_links_are_known_from_those_of_the_html() -> None:
    text = b"See https://shop.example/a?b=1 now."
    html = b'<p><a data-msys-linkname="shop" href="https://shop.example/a?b=1">now</a></p>'
    kind = Field("Content-Type", b' multipart/alternative; boundary="b"')
    body = (
        b"--b\r\nContent-Type: text/plain\r\n\r\n%s\r\n--b\r\nContent-Type: text/html\r\n\r\n%s\r\n--b--\r\n"
    )
    under_way = replace(a_mail(LABELS), message=Message((kind, *FIELDS[1:], LABELS), body % (text, html)))
    sent_body, record = sent(under_way)
    link = Link(b"https://shop.example/a?b=1", "shop", False, 0, "html")
    found = tracked_links(record, [link], RING)
    assert set(found.addresses) == {Place("html", 0, "shop"), Place("text", 0, "Raw URL")}
    assert {address for _, address in delivered(sent_body).values()} == set(found.addresses.values())
    assert found.left == 0
