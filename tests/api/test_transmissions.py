"""POST /transmissions: the mail that comes out, and the answers, against an MTA that keeps what it gets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any

import pytest

from api.api_site import ApiSite, make_api_site
from mta.smtp_sink import Delivery, Sink
from smtpapi.request.x_msys_api import XMsysApi, parse
from web.servers import free_port

CONTENT = {"from": {"email": "sender@sender.test", "name": "Sender"}, "subject": "Hello", "text": "Hi"}


class Place:
    """The API, the MTA behind it, and what that answers each recipient."""

    def __init__(self, folder: Path) -> None:
        port, tenants = free_port(), free_port()
        self.answers: dict[str, str] = {}
        self.sink = Sink(port, lambda recipient: self.answers.get(recipient, ""))
        self.site: ApiSite = make_api_site(
            folder,
            f'transmissions {{ enabled = true relay = "127.0.0.1:{port}" max_recipients = 20\n'
            f'max_size = 60000 tenant_relays = [ "17" = "127.0.0.1:{tenants}" ] }}',
        )
        self.tenants = Sink(tenants)
        self.key = self.site.key("transmissions/modify")

    def post(self, body: object, query: str = "", key: str | None = None) -> Any:
        return self.site.call("POST", f"/transmissions{query}", key or self.key, json=body)

    def sent(self, recipients: object = ("a@rcpt.test",), **more: Any) -> Delivery:
        """Send one mail and return it as it came."""
        body = {"recipients": recipients, "content": CONTENT} | more
        answer = self.post(body)
        assert answer.status_code == 200, answer.json
        return self.sink.got.pop()


@pytest.fixture(scope="module")
def module_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("site"))
    with place.sink, place.tenants:
        yield place


@pytest.fixture
def place(module_place: Place) -> Place:
    module_place.answers.clear()
    module_place.sink.got.clear()
    return module_place


def read(mail: Delivery) -> EmailMessage:
    found = message_from_bytes(mail.message, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def text_of(part: Message) -> str:
    """A part's text, without its line end."""
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data.decode().replace("\r\n", "\n").removesuffix("\n")


def parsed(mail: Delivery) -> XMsysApi:
    """What the filter reads in the mail's field."""
    field = mail.message.split(b"\r\nFrom:")[0].removeprefix(b"X-MSYS-API:")
    found = parse([field])
    assert isinstance(found, XMsysApi)
    assert found.warnings == ()
    return found


def test_each_recipient_has_a_mail_of_their_own(place: Place) -> None:
    recipients = [
        "a@rcpt.test",
        {"address": {"email": "b@rcpt.test", "name": "B"}},
        {"address": "C <c@rcpt.test>"},
    ]
    answer = place.post({"recipients": recipients, "content": CONTENT})
    results = answer.json["results"]
    assert (results["total_accepted_recipients"], results["total_rejected_recipients"]) == (3, 0)
    assert [mail.recipients for mail in place.sink.got] == [
        ("a@rcpt.test",),
        ("b@rcpt.test",),
        ("c@rcpt.test",),
    ]
    assert [read(mail)["To"] for mail in place.sink.got] == [
        "a@rcpt.test",
        "B <b@rcpt.test>",
        "C <c@rcpt.test>",
    ]
    assert {mail.sender for mail in place.sink.got} == {"sender@sender.test"}
    assert len({read(mail)["Message-ID"] for mail in place.sink.got}) == 3
    assert {str(parsed(mail).transmission_id) for mail in place.sink.got} == {results["id"]}


def test_the_filter_reads_what_was_asked_for(place: Place) -> None:
    text = 'a  b \u00e9\u2028" \\ {\x7f'
    mail = place.sent(
        [
            {
                "address": "a@rcpt.test",
                "tags": ["one two", "x"],
                "metadata": {"k": text, "n": [1, {"m": None}]},
            }
        ],
        campaign_id="Herbst 2026 é",
        metadata={"k": "of all", "all": True},
        options={"open_tracking": True, "click_tracking": False, "initial_open": True, "transactional": True},
    )
    found = parsed(mail)
    assert found.campaign == "Herbst 2026 é"
    assert found.tags == ("one two", "x")
    assert (found.opens, found.clicks, found.initial_opens, found.transactional) == (True, False, True, True)
    assert found.metadata is not None
    assert json.loads("{" + ",".join(found.metadata) + "}") == {"k": text, "n": [1, {"m": None}], "all": True}


def test_parts_are_there_as_they_were_given(place: Place) -> None:
    data = bytes(range(256))
    part = {"type": "application/pdf", "name": "Rechnung ü.pdf", "data": base64.b64encode(data).decode()}
    image = {"type": "image/png", "name": "logo", "data": base64.b64encode(data).decode()}
    content = CONTENT | {
        "html": "<p>Grüße <img src='cid:logo'></p>\n.\n..\n",
        "amp_html": "<!doctype html><html ⚡4email></html>",
        "text": "Grüße\n.\n" + "x" * 2000,
        "attachments": [part],
        "inline_images": [image],
    }
    mail = read(place.sent(content=content))
    assert [each.get_content_type() for each in mail.walk() if not each.is_multipart()] == [
        "text/plain", "text/x-amp-html", "text/html", "image/png", "application/pdf",
    ]  # fmt: skip
    text, amp, html, logo, pdf = (each for each in mail.walk() if not each.is_multipart())
    assert text_of(text) == content["text"]
    assert text_of(html) + "\n" == content["html"]
    assert text_of(amp) == content["amp_html"]
    assert logo.get_payload(decode=True) == pdf.get_payload(decode=True) == data
    assert logo["Content-ID"] == "<logo>"
    assert pdf.get_filename() == "Rechnung ü.pdf"


def test_places_are_filled_from_substitution_data(place: Place) -> None:
    content = {
        "from": "{{shop}} <{{box}}@sender.test>",
        "subject": "Hi {{ user.first }}, {{count}} {{yes}} {{none}}|",
        "html": "<p>{{user.first}} {{{user.first}}} {{opening_double_curly()}}</p>",
        "text": "{{user.first}} {{address.name}} {{box}}",
        "reply_to": "{{box}}@reply.test",
        "headers": {"X-For": "{{user.first}}", "X-Empty": "{{none}}"},
    }
    mail = read(
        place.sent(
            [
                {
                    "address": {"email": "a@rcpt.test", "name": "A"},
                    "substitution_data": {"user": {"first": "<Zoë>"}},
                }
            ],
            content=content,
            substitution_data={
                "box": "news",
                "shop": "Shop, GmbH",
                "count": 3,
                "yes": True,
                "user": {"first": "no"},
            },
        )
    )
    assert mail["From"] == '"Shop, GmbH" <news@sender.test>'
    assert mail["Subject"] == "Hi <Zoë>, 3 true |"
    assert mail["Reply-To"] == "news@reply.test"
    assert mail["X-For"] == "<Zoë>"
    assert "X-Empty" not in mail
    text, html = mail.iter_parts()
    assert text_of(text) == "<Zoë> A news"
    assert text_of(html) == "<p>&lt;Zoë&gt; <Zoë> {{opening_double_curly()}}</p>"


def test_braces_stay_where_substitution_is_off(place: Place) -> None:
    content = CONTENT | {"text": "{{name}} {{#if x}} {{"}
    mail = place.sent(content=content, options={"perform_substitutions": False})
    assert text_of(read(mail)) == "{{name}} {{#if x}} {{"


WHOLE = """From: Author <author@sender.test>
To: somebody@else.test
Bcc: secret@else.test
Received: from outside.example by inside.example; Sun, 29 Nov 2026 10:00:00 +0000
X-MSYS-API: {"campaign_id": "forged"}
Subject: A long
 subject {{name}}
Message-ID: <own@sender.test>

Hello {{name}}
.
From here
"""


def test_a_whole_message_stays_but_for_what_is_ours(place: Place) -> None:
    mail = place.sent(
        content={"email_rfc822": WHOLE}, options={"perform_substitutions": False}, campaign_id="mine"
    )
    message = mail.message
    for gone in (b"Bcc", b"Received", b"forged", b"secret"):
        assert gone not in message
    assert b"Subject: A long\r\n subject {{name}}\r\n" in message
    assert mail.body == b"Hello {{name}}\r\n.\r\nFrom here\r\n"
    assert read(mail)["Message-ID"] == "<own@sender.test>"
    assert (mail.sender, mail.recipients) == ("author@sender.test", ("a@rcpt.test",))
    assert parsed(mail).campaign == "mine"
    assert "Date" in read(mail)


@pytest.mark.parametrize("end", ["", "\n", "\r", "\r\n.", "\n.\n", "\r\n.\r\nMAIL FROM:<x@x.test>\r\n"])
def test_a_message_ends_where_it_ends(place: Place, end: str) -> None:
    """Whatever its last line is, the final dot stands alone behind it, and no line of it is a command."""
    mail = place.sent(content={"email_rfc822": f"From: a@sender.test\n\nlast{end}"})
    expected = end.replace("\r\n", "\n").replace("\r", "\n").encode().replace(b"\n", b"\r\n")
    assert mail.body == b"last" + expected + (b"" if expected.endswith(b"\r\n") else b"\r\n")


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
def test_places_of_a_whole_message_are_filled_in_every_encoding(place: Place, encoding: str) -> None:
    whole = EmailMessage()
    whole["From"], whole["Subject"] = "author@sender.test", "Hi {{name}}"
    whole.set_content("Dear {{name}}", cte=encoding)
    whole.add_alternative("<b>Dear {{name}}</b>", subtype="html", cte=encoding)
    whole.add_attachment("keep {{name}}", filename="kept.txt")
    values = {"name": "Zoë & Co"}
    mail = read(place.sent(content={"email_rfc822": whole.as_string()}, substitution_data=values))
    assert mail["Subject"] == "Hi Zoë & Co"
    body, attachment = mail.iter_parts()
    text_part, html = (each for each in body.walk() if not each.is_multipart())
    assert text_of(text_part) == "Dear Zoë & Co"
    assert text_of(html) == "<b>Dear Zoë &amp; Co</b>"
    assert text_of(attachment) == "keep {{name}}"
    assert mail["To"] == "a@rcpt.test"


EVIL = ["x\r\nBcc: v@victim.test", "x\nX: y", "x\rX: y", "x\r\n\r\nbody", "x\0y", "x\u2028Bcc: y", "x\x85y"]


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize(
    "where",
    [
        *("subject", "from", "from.name", "from.email", "reply_to", "headers", "header name", "file", "cid"),
        *("type", "address", "name", "header_to", "return_path", "campaign", "value in subject"),
        *("value in from", "value in header", "value in whole"),
    ],
)
def test_nothing_begins_a_header_field(place: Place, where: str, evil: str) -> None:
    """Whatever comes is refused, or is where it was put and nowhere else; a break never reaches the MTA."""
    data = {"data": "YQ==", "type": "text/plain", "name": "a"}
    content: dict[str, Any] = dict(CONTENT)
    recipient: dict[str, Any] = {"address": {"email": "a@rcpt.test"}, "substitution_data": {"v": evil}}
    body: dict[str, Any] = {"recipients": [recipient], "content": content}
    match where:
        case "subject" | "reply_to":
            content[where] = evil
        case "from":
            content["from"] = f"{evil} <a@sender.test>"
        case "from.name":
            content["from"] = {"email": "a@sender.test", "name": evil}
        case "from.email":
            content["from"] = {"email": f"a@sender.test{evil}"}
        case "headers":
            content["headers"] = {"X-Mine": evil}
        case "header name":
            content["headers"] = {evil: "y"}
        case "file":
            content["attachments"] = [data | {"name": evil}]
        case "cid":
            content |= {"html": "x", "inline_images": [data | {"name": evil}]}
        case "type":
            content["attachments"] = [data | {"type": f"text/plain; charset={evil}"}]
        case "address":
            recipient["address"] = {"email": f"a@rcpt.test{evil}"}
        case "name" | "header_to":
            recipient["address"][where] = evil
        case "return_path":
            body["return_path"] = f"a@rcpt.test{evil}"
        case "campaign":
            body["campaign_id"] = evil
        case "value in subject":
            content["subject"] = "{{v}}"
        case "value in from":
            content["from"] = "{{v}} <a@sender.test>"
        case "value in header":
            content["headers"] = {"X-Mine": "{{v}}"}
        case "value in whole":
            body["content"] = {"email_rfc822": "From: a@sender.test\nSubject: {{v}}\n\nx"}
    answer = place.post(body)
    assert answer.status_code in (400, 422), answer.json
    assert place.sink.got == []


@pytest.mark.parametrize(
    "name", ["X-MSYS-API", "Content-Type", "Received", "Return-Path", "MIME-Version", "a b", "a:b"]
)
def test_fields_that_are_ours_are_refused(place: Place, name: str) -> None:
    answer = place.post({"recipients": ["a@rcpt.test"], "content": CONTENT | {"headers": {name: "x"}}})
    assert answer.status_code == 422
    assert place.sink.got == []


def test_fields_with_members_of_their_own_are_left_out(place: Place) -> None:
    headers = {
        "To": "x@x.test",
        "Bcc": "x@x.test",
        "Subject": "x",
        "From": "x@x.test",
        "CC": "Ünal <cc@rcpt.test>",
    }
    mail = read(place.sent(content=CONTENT | {"headers": headers}))
    assert (mail["To"], mail["Subject"], mail["Bcc"]) == ("a@rcpt.test", "Hello", None)
    assert mail["Cc"] == "Ünal <cc@rcpt.test>"


BOTH = "Both content object and template_id are specified"
INVALID = "invalid data format/type"
MISSING = "required field is missing"
STATEMENT = "substitution language syntax error in template content"
UNKNOWN = "Subresource not found"


@pytest.mark.parametrize(
    ("change", "message", "code"),
    [
        ({"content": {"template_id": "letter"}}, UNKNOWN, "1603"),
        ({"content": {"template_id": "t", "html": "x"}}, BOTH, "1301"),
        ({"content": {"ab_test_id": "test"}}, UNKNOWN, "1603"),
        ({"recipients": {"list_id": "people"}}, UNKNOWN, "1603"),
        ({"options": {"start_time": "2026-12-01T08:00:00Z"}}, INVALID, "1300"),
        ({"options": {"inline_css": True}}, INVALID, "1300"),
        ({"recipients": None}, MISSING, "1400"),
        ({"recipients": []}, MISSING, "1400"),
        ({"recipients": ["a@rcpt.test"] * 21}, INVALID, "1300"),
        ({"content": None}, MISSING, "1400"),
        ({"content": {"from": "a@b.test", "subject": "x"}}, MISSING, "1400"),
        ({"content": {"from": "a@b.test", "text": "x"}}, MISSING, "1400"),
        ({"content": {"subject": "x", "text": "x"}}, MISSING, "1400"),
        ({"content": CONTENT | {"text": "{{each x}}"}}, STATEMENT, "3000"),
        ({"content": CONTENT | {"subject": "{{x"}}, STATEMENT, "3000"),
        ({"content": CONTENT | {"attachments": [{"type": "a/b", "data": "?"}]}}, INVALID, "1300"),
        ({"content": {"email_rfc822": "no field\n\nx"}}, INVALID, "1300"),
        ({"campaign_id": "x" * 65}, INVALID, "1300"),
    ],
)  # fmt: skip
def test_what_is_refused_and_in_which_words(
    place: Place, change: dict[str, Any], message: str, code: str
) -> None:
    answer = place.post({"recipients": ["a@rcpt.test"], "content": CONTENT} | change)
    assert answer.status_code == 422
    (entry,) = answer.json["errors"]
    assert (entry["message"], entry["code"]) == (message, code)
    assert entry["description"]
    assert place.sink.got == []


def test_single_recipients_that_cannot_be_do_not_keep_the_others(place: Place) -> None:
    place.answers["gone@rcpt.test"] = "550 5.1.1 no such user"
    recipients = ["a@rcpt.test", "no address", {"address": {"name": "x"}}, "gone@rcpt.test", 7, "b@rcpt.test"]
    results = place.post({"recipients": recipients, "content": CONTENT}).json["results"]
    assert (results["total_accepted_recipients"], results["total_rejected_recipients"]) == (2, 4)
    assert {"message": "gone@rcpt.test: 5.1.1 no such user", "code": "550"} in results["rcpt_to_errors"]
    assert len(results["rcpt_to_errors"]) == 4
    few = place.post({"recipients": recipients, "content": CONTENT}, "?num_rcpt_errors=1").json["results"]
    assert len(few["rcpt_to_errors"]) == 1


def test_nobody_who_could_get_it_is_an_error_with_the_counts(place: Place) -> None:
    place.answers["gone@rcpt.test"] = "550 5.1.1 no such user"
    answer = place.post({"recipients": ["gone@rcpt.test"], "content": CONTENT})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["description"] == "gone@rcpt.test: 5.1.1 no such user"
    assert answer.json["results"]["total_rejected_recipients"] == 1


def test_who_wants_no_mail_is_counted_and_no_mistake(place: Place) -> None:
    """SparkPost takes mail for suppressed addresses, and tells of it in events (contract.md 8.5)."""
    place.answers["no@rcpt.test"] = "554 5.7.1 recipient address was suppressed due to customer policy"
    answer = place.post({"recipients": ["no@rcpt.test"], "content": CONTENT})
    assert answer.status_code == 200
    assert answer.json["results"]["total_rejected_recipients"] == 1


def test_later_is_said_only_where_nobody_got_it(place: Place) -> None:
    place.answers["later@rcpt.test"] = "451 4.3.0 try again"
    answer = place.post({"recipients": ["later@rcpt.test"], "content": CONTENT})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    both = place.post({"recipients": ["later@rcpt.test", "a@rcpt.test"], "content": CONTENT})
    assert both.status_code == 200
    assert both.json["results"]["total_rejected_recipients"] == 1


def test_an_mta_that_is_not_there_is_asked_once(tmp_path: Path) -> None:
    site = make_api_site(tmp_path, f'transmissions {{ enabled = true relay = "127.0.0.1:{free_port()}" }}')
    body = {"recipients": ["a@rcpt.test"] * 1000, "content": CONTENT}
    answer = site.call("POST", "/transmissions", json=body)
    assert answer.status_code == 503
    assert "cannot be reached" in answer.json["errors"][0]["message"]


def test_an_mta_that_ends_the_session_is_asked_again(place: Place) -> None:
    """The session is new for the recipient behind it."""
    place.answers["b@rcpt.test"] = "421 4.3.2 shutting down"
    answer = place.post({"recipients": ["a@rcpt.test", "b@rcpt.test", "c@rcpt.test"], "content": CONTENT})
    assert answer.json["results"]["total_accepted_recipients"] == 1
    assert [mail.recipients for mail in place.sink.got] == [("a@rcpt.test",)]


def test_addresses_beyond_ascii(place: Place) -> None:
    mail = place.sent(["a@müller.test"])
    assert mail.recipients == ("a@xn--mller-kva.test",)
    refused = place.post({"recipients": ["ä@rcpt.test"], "content": CONTENT})
    assert refused.status_code == 400  # this MTA has no SMTPUTF8
    assert "beyond ASCII" in refused.json["errors"][0]["description"]


def test_header_to_is_shown_and_the_envelope_is_apart(place: Place) -> None:
    copy = {"address": {"email": "cc@rcpt.test", "header_to": '"Doe, Jane" <a@rcpt.test>, Bö <b@rcpt.test>'}}
    mail = place.sent([copy], return_path="bounces@sender.test")
    assert read(mail)["To"] == '"Doe, Jane" <a@rcpt.test>, Bö <b@rcpt.test>'
    assert (mail.sender, mail.recipients) == ("bounces@sender.test", ("cc@rcpt.test",))


def test_a_body_that_is_too_large(place: Place) -> None:
    assert place.post({"content": {"text": "x" * 60_000}}).status_code == 413


def test_off_by_default(tmp_path: Path) -> None:
    site = make_api_site(tmp_path)
    answer = site.call("POST", "/transmissions", json={"recipients": ["a@rcpt.test"], "content": CONTENT})
    assert answer.status_code == 403
    assert "enabled = true" in answer.json["errors"][0]["message"]


def test_a_tenant_s_key_sends_by_its_own_listener_or_not_at_all(place: Place) -> None:
    body = {"recipients": ["a@rcpt.test"], "content": CONTENT}
    assert place.post(body, key=place.site.key(tenant="18")).status_code == 403
    assert place.post(body, key=place.site.key(tenant="17")).status_code == 200
    assert place.sink.got == []
    assert place.tenants.got.pop().recipients == ("a@rcpt.test",)
