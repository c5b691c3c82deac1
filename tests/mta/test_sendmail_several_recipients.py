"""Real mail to several recipients through a real Sendmail and its hop, judged by what comes out."""

import json
import random
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engagement.links.model import Kind
from mta.mta_site import until
from mta.sendmail_site import READDRESS, Site, running
from mta.site_parts import HTML, html_mail
from mta.smtp_sink import Delivery

pytestmark = pytest.mark.mta

# A site's own check on the second port, so that the hop itself has something to bounce. Tabs count.
_SECOND_PORT_REFUSES = """\
LOCAL_RULESETS
SLocal_check_rcpt
R$*	$: < $&{daemon_name} > $1
R< SMTPAPI-SPLIT > $* refused $*	$#error $@ 5.7.1 $: "550 Not on the second port"
R< $* > $*	$: $2
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("sendmail")
    with running(folder, READDRESS, _SECOND_PORT_REFUSES, workers=2) as one:
        one.sink.answer = lambda recipient: "550 5.1.1 no such user" if recipient.startswith("nobody") else ""
        yield one


def _copies(site: Site, recipients: list[str]) -> dict[str, Delivery]:
    """What came for each of them: exactly one transaction of their own."""
    found = {recipient: site.sink.wait_for(recipient) for recipient in recipients}
    site.idle()
    for recipient in recipients:
        assert [each.recipients for each in site.sink.all_for(recipient)] == [(recipient,)]
    return found


def _bounce(site: Site, sender: str) -> str:
    report = site.sink.wait_for(sender)
    assert report.sender == ""
    return report.message.decode()


def test_each_recipient_gets_one_copy_with_links_of_their_own(site: Site) -> None:
    people = ["ann@d.test", "bob+tag@e.test", '"cy dee"@f.test', "DEE@d.test"]
    sent = html_mail(X_MSYS_API='{"campaign_id": "autumn"}')
    site.send(people, sent)
    links = set()
    for recipient, got in _copies(site, people).items():
        click, pixel = site.filter.links(got.body)
        assert (click.kind, pixel.kind) == (Kind.CLICK, Kind.OPEN)
        assert {click.identity.recipient, pixel.identity.recipient} == {recipient}
        assert click.identity.campaign == "autumn"
        assert click.link is not None
        assert click.link.target == b"https://shop.example/a?b=1&c=2"
        links |= {click.identity.message_id}
        for line in html_mail().partition(b"\r\n\r\n")[0].split(b"\r\n"):
            assert line in got.head.split(b"\r\n")
    assert len(links) == len(people)


def test_nothing_of_the_hop_and_of_other_recipients_stands_in_a_copy(site: Site) -> None:
    people = ["eve@d.test", "fay@d.test", "gus@e.test"]
    site.send(people, html_mail(X_MSYS_API='{"metadata": {"a": "b"}}'))
    for recipient, got in _copies(site, people).items():
        for word in ("msys", "x-smtpapi-split", "smtpapi.invalid"):
            assert word.encode() not in got.message.lower()
        for other in people:
            assert (other.encode() in got.message) == (other == recipient)


def test_dsn_options_and_eight_bit_text_survive_the_hop(site: Site) -> None:
    people = ["hal@d.test", "ida@e.test"]
    html = b"<a href=https://shop.example/x>\xc3\xa4 \xe2\x82\xac</a>\r\n"
    site.send(
        people, html_mail(html), mail=["RET=HDRS", "ENVID=QQ+2B7", "BODY=8BITMIME"],
        rcpt=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;old+2B{}"],
    )  # fmt: skip
    for recipient, got in _copies(site, people).items():
        assert {"RET=HDRS", "ENVID=QQ+2B7", "BODY=8BITMIME"} <= set(got.mail)
        assert got.rcpt == (("NOTIFY=SUCCESS,DELAY", f"ORCPT=rfc822;old+2B{recipient}"),)
        assert b"\xc3\xa4 \xe2\x82\xac" in got.body


def test_no_dsn_option_is_invented(site: Site) -> None:
    people = ["jon@d.test", "kay@e.test"]
    site.send(people, html_mail())
    assert {got.rcpt for got in _copies(site, people).values()} == {((),)}


def test_recipients_without_a_domain_or_with_an_address_literal_go_too(tmp_path: Path) -> None:
    """Sendmail completes them; the copy is its recipient's, by the name that the hop saw."""
    with running(tmp_path, f"{READDRESS} overlapping_aliases = false") as site:
        site.send(["postmaster", "lou@[127.0.0.1]"], html_mail())
        until(lambda: len(site.sink.all_for("lou@[127.0.0.1]")) == 1, what="the literal")
        until(lambda: len(site.sink.all_for("postmaster@[127.0.0.1]")) == 1, what="the local name")
        for name in ("lou", "postmaster"):
            (got,) = site.sink.all_for(f"{name}@[127.0.0.1]")
            owners = {one.identity.recipient.partition("@")[0] for one in site.filter.links(got.body)}
            assert owners == {name}


def test_a_bounce_of_the_next_server_names_the_address(site: Site) -> None:
    site.send(["nobody1@d.test", "mia@d.test"], html_mail(), sender="ned@sender.test", mail=["ENVID=N1"])
    text = _bounce(site, "ned@sender.test")
    assert "<nobody1@d.test>" in text
    assert "Final-Recipient: RFC822; nobody1@d.test" in text
    assert "Original-Envelope-Id: N1" in text
    assert "smtpapi.invalid" not in text
    assert "mia@d.test" not in text
    assert site.sink.wait_for("mia@d.test")


def test_a_bounce_of_the_hop_itself_names_the_address(site: Site) -> None:
    people = ["refused@d.test", "oda@d.test"]
    site.send(people, html_mail(), sender="pam@sender.test", rcpt=["ORCPT=rfc822;list-{}"])
    text = _bounce(site, "pam@sender.test")
    assert "fatal errors -----\r\n<refused@d.test>\r\n    (reason: 550 5.7.1 " in text
    assert "Not on the second port" in text
    assert "Final-Recipient: RFC822; refused@d.test" in text
    assert "Original-Recipient: rfc822;list-refused@d.test" in text
    assert "smtpapi.invalid" not in text
    assert site.sink.wait_for("oda@d.test")
    assert not site.sink.all_for("refused@d.test")


def test_a_long_header_in_one_line_reaches_every_copy(site: Site) -> None:
    """Sendmail would cut it on the way to the second port, so the mark carries it, in short lines."""
    header = json.dumps({"campaign_id": "long", "metadata": {f"k{n}": "v" * 80 for n in range(33)}})
    assert len(header) > 3000
    site.send(["quin@d.test", "ray@d.test"], html_mail(X_MSYS_API=header, X_After="still here"))
    for got in _copies(site, ["quin@d.test", "ray@d.test"]).values():
        assert {one.identity.campaign for one in site.filter.links(got.body)} == {"long"}
        assert got.field("X-After") == "still here"


def test_long_body_lines_reach_the_second_pass_unbroken(site: Site) -> None:
    html = b"<p>" + b"x" * 30_000 + b"</p>" + HTML
    site.send(["sue@d.test", "tom@d.test"], html_mail(html))
    for recipient, got in _copies(site, ["sue@d.test", "tom@d.test"]).items():
        body = got.body.replace(b"=\r\n", b"")
        assert b"x" * 30_000 in body
        joined = body.replace(b"=3D", b"=")
        assert {one.identity.recipient for one in site.filter.links(joined)} == {recipient}


def test_a_wrong_header_is_refused_before_anything_is_queued(site: Site) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        site.send(["x@d.test", "y@d.test"], html_mail(X_MSYS_API='{"metadata": []}'))
    assert refused.value.smtp_code == 550
    assert site.sendmail.waiting() == 0


def test_mail_that_is_not_tracked_does_not_go_over_the_hop(site: Site) -> None:
    for port, sender in (("off", "a@sender.test"), ("untrusted", "a@sender.test"), ("on", "")):
        people = [f"{name}-{port}@d.test" for name in ("uma", "vic")]
        site.send(people, html_mail(), port=port, sender=sender)
        got = site.sink.wait_for(people[0])
        assert sorted(got.recipients) == people
        assert got.body == HTML
        assert got.head.count(b"Received:") == 1


def test_clients_cannot_give_the_order_for_the_hop(site: Site) -> None:
    with smtplib.SMTP("127.0.0.1", site.sendmail.ports["untrusted"]) as smtp:
        for recipient in ("wim1@d.test", "wim2@d.test"):
            smtp.mail("a@sender.test", ["SIZE=400"])
            assert smtp.rcpt("hop@smtpapi.invalid")[0] == 553
            assert smtp.rcpt(recipient)[0] == 250
            assert smtp.data(html_mail())[0] == 250
            got = site.sink.wait_for(recipient)
            assert got.head.count(b"Received:") == 1
            assert got.body == HTML


def test_a_mark_that_a_client_wrote_is_removed_and_means_nothing(site: Site) -> None:
    people = ["xia@d.test", "yan@d.test"]
    site.send(people, html_mail(X_Smtpapi_Split="1 1 AAAA"))
    for recipient, got in _copies(site, people).items():
        assert b"x-smtpapi-split" not in got.message.lower()
        assert {one.identity.recipient for one in site.filter.links(got.body)} == {recipient}


def test_equal_mails_without_labels_are_two_mails_and_copies_share_a_message_id(site: Site) -> None:
    people = ["zoe@d.test", "abe@d.test"]
    for _ in range(2):
        site.send(people, html_mail(labels=False))
    until(lambda: all(len(site.sink.all_for(one)) == 2 for one in people), what="four copies")
    site.idle()
    ids = set()
    labels = []
    for recipient in people:
        for got in site.sink.all_for(recipient):
            opened = site.filter.links(got.body)
            assert {one.identity.recipient for one in opened} == {recipient}
            ids |= {one.identity.message_id for one in opened}
            labels.append(got.field("Message-Id"))
    assert len(ids) == 4
    assert sorted(labels[:2]) == sorted(labels[2:])
    assert labels[0] != labels[1]


def test_one_event_a_recipient_is_recorded(site: Site) -> None:
    people = ["ben@d.test", "cat@d.test"]
    answer = site.send(people, html_mail())
    copies = _copies(site, people)
    events = {event.recipient: event for event in site.filter.injections() if event.recipient in people}
    assert sorted(events) == people
    for recipient, got in copies.items():
        assert {one.identity.message_id for one in site.filter.links(got.body)} == {
            events[recipient].message_id
        }
    assert len({event.transmission_id for event in events.values()}) == 1
    assert answer


def test_variables_of_the_session_reach_every_copy(site: Site) -> None:
    with smtplib.SMTP("127.0.0.1", site.sendmail.ports["context"]) as smtp:
        smtp.ehlo()
        smtp.docmd("XSETCONTEXT", "smtpapi_campaign_id=winter")
        smtp.sendmail("a@sender.test", ["eli@d.test", "fee@d.test"], html_mail())
    for recipient, got in _copies(site, ["eli@d.test", "fee@d.test"]).items():
        found = {(one.identity.recipient, one.identity.campaign) for one in site.filter.links(got.body)}
        assert found == {(recipient, "winter")}


def test_cc_bcc_and_archive_copies_are_made(site: Site) -> None:
    header = {
        "cc": [{"email": "cc@d.test"}],
        "bcc": [{"email": "bcc@d.test"}],
        "archive": [{"email": "arc@d.test"}],
    }
    site.send(["dan@d.test"], html_mail(X_MSYS_API=json.dumps(header)))
    got = _copies(site, ["dan@d.test", "cc@d.test", "bcc@d.test", "arc@d.test"])
    roles = {
        who: {(one.identity.recipient, one.identity.rcpt_type) for one in site.filter.links(each.body)}
        for who, each in got.items()
    }
    assert roles["cc@d.test"] == {("cc@d.test", "cc")}
    assert roles["bcc@d.test"] == {("bcc@d.test", "bcc")}
    assert roles["arc@d.test"] == roles["dan@d.test"] == {("dan@d.test", "")}
    assert (
        b"bcc@d.test" not in got["dan@d.test"].message + got["cc@d.test"].message + got["arc@d.test"].message
    )
    assert got["arc@d.test"].body == got["dan@d.test"].body


def test_nobody_gets_anothers_link_in_twenty_sessions_at_once(site: Site) -> None:
    chance = random.Random(5)
    batches = [
        [f"p{number}-{place}@d.test" for place in range(chance.randint(1, 20))] for number in range(40)
    ]

    def send(number: int) -> None:
        html = b"".join(b"<a href=https://shop.example/%d/%d>x</a>\r\n" % (number, n) for n in range(5))
        site.send(batches[number], html_mail(html, X_Number=str(number)))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(send, range(len(batches))))
    total = sum(map(len, batches))
    until(lambda: sum(1 for each in site.sink.got if each.field("X-Number")) == total, 40, f"{total} copies")
    site.idle()
    for number, people in enumerate(batches):
        for recipient in people:
            (got,) = site.sink.all_for(recipient)
            opened = site.filter.links(got.body)
            targets = [one.link.target for one in opened if one.link is not None]
            assert {one.identity.recipient for one in opened} == {recipient}
            assert targets == [b"https://shop.example/%d/%d" % (number, n) for n in range(5)]


# What Debian's sendmail.mc switches on, and what rewrites addresses.
_FEATURES = """\
FEATURE(`access_db', `text -T<TMPF> -v1 -k0 {folder}/access', `skip')dnl
FEATURE(`greet_pause', `100')dnl
FEATURE(`delay_checks', `friend')dnl
FEATURE(`conncontrol', `nodelay', `terminate')dnl
FEATURE(`ratecontrol', `nodelay', `terminate')dnl
FEATURE(`virtusertable', `text -v1 -k0 {folder}/virtual')dnl
VIRTUSER_DOMAIN(`virtual.test')dnl
FEATURE(`mailertable', `text -v1 -k0 {folder}/mailers')dnl
MASQUERADE_AS(`corp.test')dnl
MASQUERADE_DOMAIN(`host.test')dnl
FEATURE(`masquerade_envelope')dnl
FEATURE(`always_add_domain')dnl
"""


def test_masquerading_virtual_users_and_checks_of_a_site_go_with_the_hop(tmp_path: Path) -> None:
    folder = tmp_path / "sendmail"
    folder.mkdir()
    (folder / "access").write_text("Connect:127.0.0.1 RELAY\n")
    (folder / "virtual").write_text("info@virtual.test real@target.test\n")
    (folder / "mailers").write_text("routed.test relay:[127.0.0.1]\n")
    reached = {
        "u@d.test": "u@d.test",
        "info@virtual.test": "real@target.test",
        "x@routed.test": "x@routed.test",
    }
    with running(tmp_path, READDRESS, features=_FEATURES) as site:
        site.send(list(reached), html_mail(), sender="ann@host.test")
        for named, recipient in reached.items():
            got = site.sink.wait_for(recipient)
            assert got.sender == "ann@corp.test"
            assert {one.identity.recipient for one in site.filter.links(got.body)} == {named}


def test_without_the_hop_several_recipients_share_links_that_name_nobody(tmp_path: Path) -> None:
    with running(tmp_path, 'several_recipients = "shared"') as site:
        site.send(["a@d.test", "b@d.test"], html_mail())
        got = site.sink.wait_for("a@d.test")
        assert sorted(got.recipients) == ["a@d.test", "b@d.test"]
        assert {one.identity.recipient for one in site.filter.links(got.body)} == {""}


def test_without_the_hop_a_client_may_be_told_to_send_one_by_one(tmp_path: Path) -> None:
    with running(tmp_path, 'several_recipients = "defer"') as site:
        with smtplib.SMTP("127.0.0.1", site.sendmail.ports["on"]) as smtp:
            refused = smtp.sendmail("a@sender.test", ["a@d.test", "b@d.test"], html_mail())
        assert {who: code for who, (code, _) in refused.items()} == {"b@d.test": 452}
        got = site.sink.wait_for("a@d.test")
        assert {one.identity.recipient for one in site.filter.links(got.body)} == {"a@d.test"}


def test_without_the_hop_several_recipients_get_the_mail_untracked_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as site:
        site.send(["a@d.test", "b@d.test"], html_mail())
        assert site.sink.wait_for("a@d.test").body == HTML
