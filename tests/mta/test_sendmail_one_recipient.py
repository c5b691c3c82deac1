"""Real mail to one recipient through a real Sendmail, judged by what reaches the next server."""

import json
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from engagement.links.model import Kind
from mta.mta_site import until
from mta.sendmail_site import Site, running
from mta.site_parts import HTML, html_mail

pytestmark = pytest.mark.mta


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("sendmail")) as one:
        yield one


def test_mail_is_tracked_for_its_recipient_and_otherwise_untouched(site: Site) -> None:
    sent = html_mail(X_Odd="\t two  spaces ")
    site.send(["ann+x@rcpt.test"], sent)
    got = site.sink.wait_for("ann+x@rcpt.test")
    click, pixel = site.filter.links(got.body)
    assert (click.kind, pixel.kind) == (Kind.CLICK, Kind.OPEN)
    assert click.link is not None
    assert click.link.target == b"https://shop.example/a?b=1&c=2"
    assert {click.identity.recipient, pixel.identity.recipient} == {"ann+x@rcpt.test"}
    head, _, tail = HTML.partition(b"https://shop.example/a?b=1&amp;c=2")
    assert got.body.startswith(head)
    assert tail.partition(b"</body>")[0] in got.body
    for line in sent.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        assert line in got.head.split(b"\r\n")


def test_the_header_is_obeyed_and_never_leaves(site: Site) -> None:
    for port in ("on", "off"):
        header = '{"campaign_id": "autumn", "options": {"open_tracking": false, "click_tracking": true}}'
        site.send([f"header-{port}@rcpt.test"], html_mail(X_MSYS_API=header), port=port)
        got = site.sink.wait_for(f"header-{port}@rcpt.test")
        (click,) = site.filter.links(got.body)
        assert (click.kind, click.identity.campaign) == (Kind.CLICK, "autumn")
        assert b"msys" not in got.message.lower()


def test_all_of_several_headers_are_gone(site: Site) -> None:
    header = '{"options": {}}\r\nx-msys-api: second\r\nX-Msys-Api:\r\n  third'
    for port in ("on", "off"):
        site.send([f"gone-{port}@rcpt.test"], html_mail(X_MSYS_API=header), port=port)
        assert b"msys" not in site.sink.wait_for(f"gone-{port}@rcpt.test").message.lower()


def test_untracked_and_untrusted_mail_has_the_same_body_and_fields(site: Site) -> None:
    orders: dict[str, dict[str, Any]] = {
        "off": {},
        "untrusted": {"X_MSYS_API": '{"campaign_id": "x"}'},
    }
    for port, fields in orders.items():
        sent = html_mail(**fields)
        site.send([f"{port}@rcpt.test"], sent, port=port)
        got = site.sink.wait_for(f"{port}@rcpt.test")
        assert got.body == HTML
        for line in sent.partition(b"\r\n\r\n")[0].split(b"\r\n"):
            assert line in got.head.split(b"\r\n")


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ('{"metadata": []}', b"5.6.0 X-MSYS-API 'metadata' must be of type 'json object'"),
        (
            json.dumps({"campaign_id": "c" * 65}),
            b"5.6.0 smtpapi_campaign_id context is limited to 64 bytes",
        ),
    ],
)
def test_a_wrong_header_is_refused_with_momentums_words(site: Site, header: str, answer: bytes) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        site.send(["x@rcpt.test"], html_mail(X_MSYS_API=header))
    assert (refused.value.smtp_code, refused.value.smtp_error) == (550, answer)


def test_percent_signs_in_a_refusal_stand_once(site: Site) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        site.send(["x@rcpt.test"], html_mail(X_MSYS_API="{ %s %n"))
    assert refused.value.smtp_code == 550
    assert b"%%" not in refused.value.smtp_error


def test_a_header_of_3000_octets_in_one_line_is_read_whole(site: Site) -> None:
    metadata = {f"key{number}": "v" * 80 for number in range(30)}
    header = json.dumps({"metadata": metadata, "campaign_id": "long"})
    assert len(header) > 2800
    site.send(["long@rcpt.test"], html_mail(X_MSYS_API=header, X_After="still here"))
    got = site.sink.wait_for("long@rcpt.test")
    assert {one.identity.campaign for one in site.filter.links(got.body)} == {"long"}
    assert b"msys" not in got.head.lower()
    assert got.field("X-After") == "still here"


def test_sendmail_itself_refuses_headers_beyond_its_limit(site: Site) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        site.send(["x@rcpt.test"], html_mail(X_MSYS_API=json.dumps({"metadata": {"k": "v" * 40_000}})))
    assert (refused.value.smtp_code, refused.value.smtp_error[:37]) == (
        552,
        b"5.6.0 Headers too large (32768 max)",
    )


def test_equal_mails_without_date_and_message_id_are_two_mails(site: Site) -> None:
    """Sendmail adds both only after the filter, so its queue id tells them apart."""
    for _ in range(2):
        site.send(["twice@rcpt.test"], html_mail(labels=False))
    until(lambda: len(site.sink.all_for("twice@rcpt.test")) == 2, what="both mails")
    first, second = site.sink.all_for("twice@rcpt.test")
    ids = [{one.identity.message_id for one in site.filter.links(got.body)} for got in (first, second)]
    assert [len(each) for each in ids] == [1, 1]
    assert ids[0] != ids[1]
    assert first.field("Message-Id") != second.field("Message-Id") != ""
    assert first.field("Date")


def test_the_event_names_sendmails_queue_id(site: Site) -> None:
    answer = site.send(["event@rcpt.test"], html_mail(X_MSYS_API='{"campaign_id": "autumn", "tags": ["a"]}'))
    got = site.sink.wait_for("event@rcpt.test")
    (event,) = [event for event in site.filter.injections() if event.recipient == "event@rcpt.test"]
    assert {one.identity.message_id for one in site.filter.links(got.body)} == {event.message_id}
    assert (event.campaign, event.tags, event.sender) == ("autumn", ("a",), "a@sender.test")
    assert event.queue_id.encode() in answer


def test_xsetcontext_reaches_the_filter_with_its_variables(site: Site) -> None:
    """Sendmail tells a filter the whole line of a command it does not know; Postfix only its name."""
    with smtplib.SMTP("127.0.0.1", site.sendmail.ports["context"]) as smtp:
        smtp.ehlo()
        assert smtp.docmd("XSETCONTEXT", "smtpapi_campaign_id=spring+20sale")[0] == 500
        smtp.sendmail("a@sender.test", ["context@rcpt.test"], html_mail())
    got = site.sink.wait_for("context@rcpt.test")
    assert {one.identity.campaign for one in site.filter.links(got.body)} == {"spring sale"}


def test_xsetcontext_for_the_next_mail_counts_behind_a_new_greeting(site: Site) -> None:
    """After a message Sendmail tells a filter of no unknown command until it is greeted (docs/quirks.md)."""
    with smtplib.SMTP("127.0.0.1", site.sendmail.ports["context"]) as smtp:
        for campaign, greets in (("first", True), ("lost", False), ("second", True)):
            if greets:
                smtp.ehlo()
            assert smtp.docmd("XSETCONTEXT", f"smtpapi_campaign_id={campaign}")[0] == 500
            smtp.sendmail("a@sender.test", [f"{campaign}-next@rcpt.test"], html_mail())
    got = {each: site.sink.wait_for(f"{each}-next@rcpt.test").body for each in ("first", "lost", "second")}
    campaigns = {each: site.filter.links(body)[0].identity.campaign for each, body in got.items()}
    assert campaigns == {"first": "first", "lost": "first", "second": "second"}


def test_xsetcontext_does_nothing_for_an_untrusted_client(site: Site) -> None:
    with smtplib.SMTP("127.0.0.1", site.sendmail.ports["untrusted"]) as smtp:
        smtp.ehlo()
        assert smtp.docmd("XSETCONTEXT", "smtpapi_campaign_id=spring")[0] == 500
        smtp.sendmail("a@sender.test", ["context-untrusted@rcpt.test"], html_mail())
    assert not site.filter.links(site.sink.wait_for("context-untrusted@rcpt.test").body)


def test_eight_bit_text_dots_and_null_octets_survive(site: Site) -> None:
    html = b'<a href="https://shop.example/x">x</a>\r\n.\r\n..two\r\n\xc3\xa4\xff\xfe\x00\r\n.end\r\n'
    site.send(["octets@rcpt.test"], html_mail(html), mail=["BODY=8BITMIME"])
    got = site.sink.wait_for("octets@rcpt.test")
    assert [one.link.target for one in site.filter.links(got.body) if one.link] == [b"https://shop.example/x"]
    assert b"\r\n.\r\n..two\r\n\xc3\xa4\xff\xfe\x00\r\n.end<img" in got.body
    assert "BODY=8BITMIME" in got.mail


def test_400_mails_of_20_sessions_at_once_never_mix(site: Site) -> None:
    def send(number: int) -> None:
        html = b"<a href=https://shop.example/%d>x</a>\r\n" % number * 5
        site.send([f"side-{number}@rcpt.test"], html_mail(html))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(send, range(400)))
    for number in range(400):
        opened = site.filter.links(site.sink.wait_for(f"side-{number}@rcpt.test").body)
        targets = [one.link.target for one in opened if one.link is not None]
        assert {one.identity.recipient for one in opened} == {f"side-{number}@rcpt.test"}
        assert targets == [b"https://shop.example/%d" % number] * 5


def test_without_the_filter_mail_waits_at_the_client(site: Site) -> None:
    site.filter.stop()
    try:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            site.send(["x@rcpt.test"], html_mail())
        assert refused.value.smtp_code == 451
    finally:
        site.filter.log.write_bytes(b"")
        site.filter.start()
    site.send(["back@rcpt.test"], html_mail())
    assert site.filter.links(site.sink.wait_for("back@rcpt.test").body)
