"""Mail that comes by a second time, changed on its way, and other mail that bears its mark (decision 0016).

Rows H7 and H22 of docs/known-faults.md.
"""

import base64
import binascii
import email.policy
import quopri
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from hop_mail import BODY, CLIENT, NOW, RING, TO, Mail, api, mail, names, site
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import Discard, Leave, Plan, Refuse, Why
from smtpapi.pipeline import transaction
from smtpapi.pipeline.transaction import MessageResult, Site
from smtpapi.rewrite.raw_message import split

DAY = 86_400
LABELS = ("Date", "Message-ID")


def tracked(*fields: Field, **facts: Any) -> Mail:
    """As it leaves the filter for one recipient."""
    return mail(site("untracked"), *fields, recipients=TO[:1], **facts).queued()


def changed(sent: Mail, body: bytes | None = None, **values: Any) -> Mail:
    """By another program: fields of these names with other values."""
    remaining = [each for each in sent.message.fields if each.name.replace("-", "_") not in values]
    remaining += [Field(name.replace("_", "-"), f" {value}".encode()) for name, value in values.items()]
    message = Message(tuple(remaining), sent.message.body if body is None else body)
    return replace(sent, message=message, now=NOW + 60)


def relabelled(sent: Mail, body: bytes | None = None, **values: Any) -> Mail:
    labels = {"Message_ID": "<list.7@lists.example>", "Date": "Wed, 25 Nov 2026 06:30:00 +0000"}
    return changed(sent, body, **(labels | values))


def why(considered: MessageResult) -> Why | None:
    assert not isinstance(considered.outcome, Refuse | Discard)
    return considered.outcome.why


# --- row H22


@pytest.mark.parametrize(
    "label", [{"Message_ID": "<n@l.example>"}, {"Date": "Wed, 25 Nov 2026 06:30:00 +0000"}]
)
def test_h22_mail_with_another_message_id_or_date_is_known_again(label: dict[str, Any]) -> None:
    again = changed(tracked(), **label).consider()
    assert again.outcome == Leave(Why.ALREADY_TRACKED)
    assert again.injections == ()


def _as_base64(body: bytes) -> bytes:
    return base64.encodebytes(body).replace(b"\n", b"\r\n")


def _as_quoted_printable(body: bytes) -> bytes:
    return quopri.encodestring(body.replace(b"\r\n", b"\n"), quotetabs=True).replace(b"\n", b"\r\n")


def _as_escaped_quoted_printable(body: bytes) -> bytes:
    """Each octet as three, as nobody has to."""
    signs = [b"=%02X" % octet for octet in body]
    return b"".join(b"".join(signs[at : at + 20]) + b"=\r\n" for at in range(0, len(signs), 20))


def _as_utf_16(body: bytes) -> bytes:
    return _as_base64(body.decode().encode("utf-16-le"))


def _with_footer(body: bytes) -> bytes:
    parts = (
        b"--f\r\nContent-Type: text/html\r\n\r\n" + body + b"\r\n--f\r\nContent-Type: text/plain\r\n\r\nlist"
    )
    return parts + b" info\r\n--f--\r\n"


def _by_a_link_scanner(body: bytes) -> bytes:
    def wrapped(url: re.Match[bytes]) -> bytes:
        return b"https://scan.example/?url=" + re.sub(rb"[/:]", lambda sign: b"%%%02X" % ord(sign[0]), url[0])

    return re.sub(rb"http://t\.[^\"]+", wrapped, body)


_MIXED = {"Content_Type": "multipart/mixed; boundary=f"}
_BASE64 = {"Content_Transfer_Encoding": "base64"}
_QP = {"Content_Transfer_Encoding": "quoted-printable"}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (_as_base64, _BASE64),
        (_as_quoted_printable, _QP),
        (_as_escaped_quoted_printable, _QP),
        (_as_utf_16, {**_BASE64, "Content_Type": "text/html; charset=utf-16le"}),
        (_with_footer, _MIXED),
        (_by_a_link_scanner, {}),
        (lambda body: body.replace(b"<body>", b"<body><p>External sender</p>"), {}),
        (lambda body: re.sub(rb"<img[^>]*>", b"", body), {}),
        (lambda body: re.sub(rb"<a.*?</a>", b"", body), {}),
    ],
    ids=["base64", "qp", "all-qp", "utf-16", "footer", "scanner", "banner", "no-pixel", "no-link"],
)
def test_h22_what_filters_and_lists_do_to_a_body_is_survived(
    change: Callable[[bytes], bytes], fields: dict[str, str]
) -> None:
    sent = tracked()
    body = change(sent.message.body)
    assert body != sent.message.body
    again = relabelled(
        sent, body, Subject="[list] Hello", From="list@lists.example", To="list@lists.example",
        List_Id="<list.example>", **fields,
    )  # fmt: skip
    assert why(again.consider()) is Why.ALREADY_TRACKED


@pytest.mark.parametrize("recipients", [("member@example.net",), ("m1@example.net", "m2@example.net")])
def test_h22_members_of_a_list_get_no_second_pixel(recipients: tuple[str, ...]) -> None:
    """Ordinary lists keep Message-ID and Date; whom they send to is what they change."""
    again = replace(tracked(), recipients=recipients, sender="list-bounces+7@lists.example").consider()
    assert again.outcome == Leave(Why.ALREADY_TRACKED)
    assert again.injections == ()


def _other_body(sent: Mail) -> Mail:
    return relabelled(sent, BODY)


def _other_recipients_links(sent: Mail) -> Mail:
    theirs = mail(site("untracked"), recipients=TO[1:]).queued()
    return relabelled(sent, theirs.message.body)


def _other_mails_links(sent: Mail) -> Mail:
    other = mail(site("untracked"), recipients=TO[:1], body=BODY + b"more\r\n").queued()
    return relabelled(sent, other.message.body)


def _made_up_links(sent: Mail) -> Mail:
    body = re.sub(rb"(/[fq]/(?:a/)?.{30})[^\"]{9}", rb"\1" + b"B" * 9, sent.message.body)
    return relabelled(sent, body)


def _a_month_later(sent: Mail) -> Mail:
    """A delivered mail that somebody made the pattern of a new one."""
    return replace(relabelled(sent), now=NOW + 31 * DAY)


@pytest.mark.parametrize(
    "other",
    [_other_body, _other_recipients_links, _other_mails_links, _made_up_links, _a_month_later],
    ids=lambda make: make.__name__.strip("_"),
)
def test_h22_a_mark_never_counts_for_another_mail(other: Callable[[Mail], Mail]) -> None:
    there = other(tracked())
    considered = there.consider()
    assert why(considered) is None
    assert len(considered.injections) == 1
    assert names(there.queued().message).count("X-Smtpapi-Id") == 1
    assert isinstance(considered.outcome, Plan)
    assert "pixel" in [edit.kind for edit in considered.outcome.edits]


def test_h22_links_without_a_mark_are_another_mail_that_quotes_them() -> None:
    sent = tracked()
    fields = tuple(each for each in sent.message.fields if each.name != "X-Smtpapi-Id")
    reply = relabelled(replace(sent, message=Message(fields, sent.message.body)))
    assert why(reply.consider()) is None


def test_h22_links_of_a_revoked_key_prove_nothing() -> None:
    there = relabelled(tracked())
    settings = there.site.settings
    newer = RING.rotated(b"n" * 32, 2)
    assert why(replace(there, site=Site.build(settings, newer)).consider()) is Why.ALREADY_TRACKED
    assert why(replace(there, site=Site.build(settings, newer.revoked(1))).consider()) is None


def test_h22_a_body_full_of_false_tokens_costs_little() -> None:
    """Each octet is read three times at most, and as many tokens are opened as a mail may have links."""
    sent = tracked()
    tokens = b"".join(
        b"http://t.example.net/q/AQIAA%06dAAAAAAAAAAAAAAAAAAAAAAAAA\r\n" % n for n in range(60_000)
    )
    base64_lines = (b"A" * 76 + b"\r\n") * 60_000
    there = relabelled(sent, tokens + base64_lines + b"=3D")
    began = time.process_time()
    there.consider()
    assert time.process_time() - began < 5


def test_h22_mail_through_real_disclaimer_and_header_tools_is_known_again(tmp_path: Path) -> None:
    """altermime adds its text to each part; formail writes new labels."""
    sent = tracked(
        Field("MIME-Version", b" 1.0"), Field("From", b" a@b.example"), Field("To", b" l@b.example")
    )
    raw = b"".join(b"%s:%s\n" % (each.name.encode(), each.value) for each in sent.message.fields)
    raw += b"\n" + sent.message.body.replace(b"\r\n", b"\n")
    (tmp_path / "mail").write_bytes(raw)
    (tmp_path / "text").write_text("This mail is confidential.\n")
    subprocess.run(
        ["altermime", f"--input={tmp_path}/mail", f"--disclaimer={tmp_path}/text"], check=True, timeout=20
    )  # fmt: skip
    renamed = subprocess.run(
        ["formail", "-I", "Message-ID: <other@lists.example>", "-I", "Date: Wed, 25 Nov 2026 06:30:00 +0000"],
        input=(tmp_path / "mail").read_bytes(), check=True, timeout=20, capture_output=True,
    ).stdout  # fmt: skip
    assert b"confidential" in renamed
    assert b"<other@lists.example>" in renamed
    again = replace(sent, message=split(renamed).message, now=NOW + 60)
    assert why(again.consider()) is Why.ALREADY_TRACKED


def test_h22_mail_that_python_wrote_anew_is_known_again() -> None:
    sent = tracked(Field("MIME-Version", b" 1.0"))
    raw = b"".join(b"%s:%s\r\n" % (each.name.encode(), each.value) for each in sent.message.fields)
    parsed = BytesParser(policy=email.policy.SMTP).parsebytes(raw + b"\r\n" + sent.message.body)
    parsed.set_content(parsed.get_content() + "ä" * 40, subtype="html", cte="quoted-printable")
    for name in LABELS:
        del parsed[name]
    again = replace(sent, message=split(bytes(parsed)).message, now=NOW + 60)
    assert binascii.a2b_qp(again.message.body).count(b"t.example.net") == 2
    assert why(again.consider()) is Why.ALREADY_TRACKED


# --- row H7

COPIES = api(cc=["carol@example.net"], bcc=["quiet@example.net"], archive=["box@example.com"])


def asking(sent: Mail, where: str) -> Mail:
    message = Message((*sent.message.fields, COPIES), sent.message.body)
    return replace(sent, message=message, site=site(where))


@pytest.mark.parametrize("mode", ["split", "readdress"])
@pytest.mark.parametrize("labels", [True, False], ids=["same-labels", "other-labels"])
def test_h7_mail_that_was_tracked_before_gets_the_copies_it_asks_for(mode: str, labels: bool) -> None:
    sent = tracked()
    queued = asking(sent if labels else relabelled(sent), mode).queued()
    people = ("ann@example.net", "carol@example.net", "quiet@example.net", "box@example.com")
    assert queued.recipients == people
    for who in people:
        there = queued.hop(who)
        copy = there.queued().message
        assert copy.body == sent.message.body
        assert copy.first("Cc") == b" carol@example.net"
        assert (copy.first("Bcc") or b"") == (b" quiet@example.net" if who.startswith("quiet") else b"")
        assert copy.lacks(("x-msys-api", "x-smtpapi-split"))
        roles = [(each.recipient, each.rcpt_type) for each in there.consider().injections]
        expected = {"carol": "cc", "quiet": "bcc", "box": "archive"}.get(who.partition("@")[0])
        assert roles == ([(who, expected)] if expected else [])


@pytest.mark.parametrize("mode", ["untracked", "shared", "defer"])
def test_h7_where_no_copies_are_made_the_mail_is_refused(mode: str) -> None:
    outcome = asking(tracked(), mode).consider().outcome
    assert isinstance(outcome, Refuse)
    assert outcome.text == "X-MSYS-API cc, bcc and archive are not enabled here"


def test_h7_a_wrong_header_of_such_mail_is_refused_like_any_other() -> None:
    sent = tracked()
    for directive, text in (({"bcc": ["no address"]}, "invalid address"), ({"metadata": []}, "metadata")):
        message = Message((*sent.message.fields, api(**directive)), sent.message.body)
        outcome = replace(sent, message=message, site=site("split")).consider().outcome
        assert isinstance(outcome, Refuse)
        assert text in outcome.text


def test_h7_a_header_that_asks_for_no_copy_changes_nothing() -> None:
    sent = tracked()
    for recipients in (TO[:1], TO):
        message = Message((*sent.message.fields, api(campaign_id="c")), sent.message.body)
        considered = replace(sent, message=message, site=site("split"), recipients=recipients).consider()
        assert isinstance(considered.outcome, Plan)
        assert considered.outcome.why is Why.ALREADY_TRACKED
        assert [(change.name, change.value) for change in considered.outcome.headers] == [
            ("X-MSYS-API", None)
        ]
        assert considered.outcome.edits == ()
        assert considered.injections == ()


@pytest.mark.parametrize("directive", [{"bcc": ["quiet@example.net"]}, {"bcc": ["no address"]}])
def test_h7_a_policy_that_fails_never_costs_the_copies(directive: dict[str, list[str]]) -> None:
    where = site("split", policy="def validate_data_spool(msg, ac, vctx):\n    raise KeyError\n")
    for sent in (
        mail(where, api(**directive), recipients=TO[:1]),
        mail(where, api(**directive), client=CLIENT),
    ):
        outcome = sent.consider().outcome
        assert isinstance(outcome, Refuse)
        assert outcome.code == "451"


def test_h7_mail_that_policy_bypasses_has_its_header_unread_as_before() -> None:
    sent = replace(asking(tracked(), "split"), context={"__bypass_smtpapi": "true"})
    assert why(sent.consider()) is Why.BYPASSED


@pytest.mark.parametrize(
    "value",
    [
        rb'{"\u0062cc": ["quiet@example.net"]}',
        b"=?utf-8?b?" + base64.b64encode(b'{"bcc": ["quiet@example.net"]}') + b"?=",
    ],
    ids=["escaped", "encoded-word"],
)
def test_h7_a_fault_of_ours_never_costs_copies_whose_names_are_spelled_oddly(
    value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    directive = Field("X-MSYS-API", b" " + value)
    queued = mail(site("split"), directive, recipients=TO[:1]).queued()
    assert queued.recipients[1:] == ("quiet@example.net",)
    monkeypatch.setattr(transaction.x_msys_api, "parse", lambda values: 1 / 0)
    outcome = mail(site("split"), directive, recipients=TO[:1]).consider().outcome
    assert isinstance(outcome, Refuse)
    assert outcome.code == "451"
