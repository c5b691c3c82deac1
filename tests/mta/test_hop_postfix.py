"""Mail to several recipients through a real Postfix and the hop that etc/postfix ships."""

import json
import re
import shlex
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.events.model import recipient_mark
from engagement.links.model import Kind
from engagement.settings import load_text
from milter_client import MilterClient
from mta.hop_site import HopSite, running
from mta.mta_site import until
from mta.site_parts import HTML, html_mail

pytestmark = pytest.mark.mta

_ETC = Path(__file__).parents[2] / "etc" / "postfix"
_POLICY = '''
"""Nobody whose address begins with quiet is tracked."""
from smtpapi.policy import core

def validate_data_spool_each_rcpt(msg, ac, vctx):
    if msg.recipient.startswith("quiet"):
        vctx.set(core.VCTX_RCPT, "smtpapi_click_tracking", "0")
        vctx.set(core.VCTX_RCPT, "smtpapi_open_tracking", "0")
    if msg.recipient.startswith("clicks"):
        vctx.set(core.VCTX_RCPT, "smtpapi_open_tracking", "0")
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HopSite]:
    folder = tmp_path_factory.mktemp("hop")
    (folder / "policy.py").write_text(_POLICY)
    with running(
        folder,
        more=f'policy {{ file = "{folder}/policy.py" }}',
    ) as one:
        one.sink.answer = lambda recipient: "550 5.1.1 no such user" if recipient.startswith("nobody") else ""
        yield one


def test_each_recipient_gets_one_copy_with_links_of_their_own(site: HopSite) -> None:
    people = ["ann@a.sink.test", "bob+tag@b.sink.test", '"cy dee"@c.sink.test', "DEE@a.sink.test"]
    site.send(people, html_mail(X_MSYS_API='{"campaign_id": "autumn"}'))
    ids, transmissions = set(), set()
    for recipient, got in site.copies(people).items():
        assert site.owner(got.body) == recipient
        click, pixel = site.links(got.body)
        assert (click.kind, pixel.kind) == (Kind.CLICK, Kind.OPEN)
        assert click.identity == pixel.identity
        assert click.identity.campaign == "autumn"
        ids.add(click.identity.message_id)
        transmissions.add(click.identity.transmission_id)
        for line in html_mail().partition(b"\r\n\r\n")[0].split(b"\r\n"):
            assert line in got.head.split(b"\r\n")
    assert len(ids) == len(people)
    assert len(transmissions) == 1


def test_a_record_names_the_queue_id_by_which_its_copy_goes_outside(site: HopSite) -> None:
    """So a line of the log leads to the record: by host, queue id and recipient."""
    people = ["hal@a.sink.test", "ivy@b.sink.test"]
    site.send(people, html_mail())
    site.copies(people)
    line = rf": (\w+): to=<([^>]+)>, relay=\S+:{site.ports['sink']}, .* status=sent"
    outside = {to: queue_id for queue_id, to in re.findall(line, site.postfix.log.read_text())}
    records = {each.recipient: each for each in site.filter.injections()}
    for recipient in people:
        record = records[recipient]
        assert record.queue_id == outside[recipient]
        assert record.node_name
        assert record.recipient_mark == recipient_mark(record.node_name, record.queue_id, recipient)
        assert (record.links, record.parts, record.client_address) == (1, 1, "127.0.0.1")


def test_nothing_of_the_hop_and_of_other_recipients_stands_in_a_copy(site: HopSite) -> None:
    """So somebody who is in neither To nor Cc is learned of by nobody."""
    people = ["eve@a.sink.test", "fay@a.sink.test", "gus@b.sink.test"]
    site.send(people, html_mail(X_MSYS_API='{"metadata": {"a": "b"}}'))
    for recipient, got in site.copies(people).items():
        for word in (b"msys", b"x-smtpapi-split"):
            assert word not in got.message.lower()
        for other in people:
            assert (other.encode() in got.message) == (other == recipient)


def test_policy_decides_for_each_recipient(site: HopSite) -> None:
    people = ["quiet1@a.sink.test", "clicks1@a.sink.test", "both1@a.sink.test"]
    sent = html_mail()
    site.send(people, sent)
    got = site.copies(people)
    assert got["quiet1@a.sink.test"].body == HTML
    assert [one.kind for one in site.filter.links(got["clicks1@a.sink.test"].body)] == [Kind.CLICK]
    assert site.owner(got["both1@a.sink.test"].body) == "both1@a.sink.test"


def test_a_mail_that_nobody_wants_tracked_takes_no_hop(site: HopSite) -> None:
    before = site.filter.counts()["messages"]
    site.send(["quiet2@a.sink.test", "quiet3@a.sink.test"], html_mail())
    for got in ("quiet2@a.sink.test", "quiet3@a.sink.test"):
        assert site.sink.wait_for(got).body == HTML
    site.idle()
    assert site.filter.counts()["messages"] == before + 1


@pytest.mark.parametrize("header", ["{", '{"metadata": []}', '{"campaign_id": "%s"}' % ("c" * 65)])
def test_a_wrong_header_is_refused_before_anything_is_queued(site: HopSite, header: str) -> None:
    site.idle()
    before = len(site.sink.got)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        site.send(["hal@a.sink.test", "ida@a.sink.test"], html_mail(X_MSYS_API=header))
    assert refused.value.smtp_code == 550
    assert site.postfix.queued() == 0
    assert len(site.sink.got) == before


def test_sender_dsn_options_and_eight_bit_text_survive(site: HopSite) -> None:
    people = ["jon@a.sink.test", "kay@b.sink.test"]
    html = HTML.replace(b"See", b"\xc3\xa4 \xe2\x82\xac")
    site.send(
        people, html_mail(html), sender="bounces+7=x@sender.test",
        options=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B7"],
        rcpt=["NOTIFY=DELAY,FAILURE", "ORCPT=rfc822;old+2B{}"],
    )  # fmt: skip
    for recipient, got in site.copies(people).items():
        assert got.sender == "bounces+7=x@sender.test"
        assert {"RET=HDRS", "ENVID=QQ+2B7", "BODY=8BITMIME"} <= set(got.mail)
        (rcpt,) = got.rcpt
        options = dict(word.split("=", 1) for word in rcpt)
        assert set(options["NOTIFY"].split(",")) == {"DELAY", "FAILURE"}
        assert options["ORCPT"] == f"rfc822;old+2B{recipient}"
        assert b"\xc3\xa4 \xe2\x82\xac" in got.body


def test_a_success_report_is_asked_for_once_and_of_the_last_hop(site: HopSite) -> None:
    people = ["lou@a.sink.test", "mia@a.sink.test"]
    site.send(people, html_mail(), sender="reports@rcpt.test", rcpt=["NOTIFY=SUCCESS"])
    for got in site.copies(people).values():
        assert "NOTIFY=SUCCESS" in got.rcpt[0]
    assert site.local("reports@rcpt.test") == []


def test_no_dsn_option_is_invented(site: HopSite) -> None:
    people = ["ned@a.sink.test", "oda@a.sink.test"]
    site.send(people, html_mail())
    for recipient, got in site.copies(people).items():
        # Postfix names the original recipient wherever DSN is offered, hop or not.
        assert set(got.rcpt[0]) <= {f"ORCPT=rfc822;{recipient}"}
        assert not [word for word in got.mail if word.startswith(("RET=", "ENVID="))]


def test_a_bounce_goes_to_the_sender_and_names_one_address(site: HopSite) -> None:
    site.send(
        ["nobody1@a.sink.test", "pam@a.sink.test"], html_mail(), sender="list@rcpt.test", options=["ENVID=N1"]
    )
    site.sink.wait_for("pam@a.sink.test")
    until(lambda: site.local("list@rcpt.test"), 15, "the bounce")
    (report,) = site.local("list@rcpt.test")
    assert b"Original-Envelope-Id: N1" in report
    assert b"Final-Recipient: rfc822; nobody1@a.sink.test" in report
    assert b"pam@a.sink.test" not in report
    assert b"track.example.test" not in report.partition(b"Content-Description: Undelivered Message")[0]


def test_internationalised_addresses_survive(site: HopSite) -> None:
    people = ["jörg@rcpt.test", "zoë@rcpt.test"]
    site.send(people, html_mail(Subject="Grüße"), options=["SMTPUTF8", "BODY=8BITMIME"])
    for recipient in people:
        (got,) = site.local(recipient)
        assert site.owner(got) == recipient
        assert "Grüße".encode() in got


def test_a_recipient_named_twice_gets_one_copy(site: HopSite) -> None:
    site.send(["quin@a.sink.test", "ray@a.sink.test", "quin@a.sink.test"], html_mail())
    for recipient, got in site.copies(["quin@a.sink.test", "ray@a.sink.test"]).items():
        assert site.owner(got.body) == recipient


def test_a_long_header_in_one_line_reaches_every_copy(site: HopSite) -> None:
    header = json.dumps({"campaign_id": "long", "metadata": {f"k{n}": "v" * 80 for n in range(100)}})
    people = ["sue@a.sink.test", "tom@a.sink.test"]
    site.send(people, html_mail(X_MSYS_API=header, X_After="still here"))
    for got in site.copies(people).values():
        assert site.links(got.body)[0].identity.campaign == "long"
        assert got.field("X-After") == "still here"


def test_long_lines_are_not_cut_on_the_way(site: HopSite) -> None:
    """To a recipient whose last hop does not cut either."""
    html = b"<p>" + b"x" * 30_000 + b"</p>\r\n" + HTML
    site.send(["una@rcpt.test", "vic@rcpt.test"], html_mail(html, X_Long="y" * 5000))
    for recipient in ("una@rcpt.test", "vic@rcpt.test"):
        (got,) = site.local(recipient)
        assert site.owner(got) == recipient
        assert b"x" * 30_000 in got
        assert b"X-Long: " + b"y" * 5000 in got


def test_a_mail_of_the_largest_size_needs_room_to_grow(tmp_path: Path) -> None:
    """By mark, trace fields and links, after smtpd has accepted it: main.cf.hop names the command."""
    filling = (b"<p>" + b"z" * 74 + b"\r\n") * 4000
    mail = html_mail(HTML.replace(b"<p>", filling[:300_000] + b"<p>", 1))
    mail += b"\r\n" * ((399_600 - len(mail)) // 2)
    people = ["wil@a.sink.test", "xia@a.sink.test"]
    (command,) = re.findall(r"(?m)^#\s+(postconf -P .*)$", (_ETC / "main.cf.hop").read_text())
    with running(tmp_path, options={"message_size_limit": "400000"}) as site:
        with pytest.raises(smtplib.SMTPDataError, match="552"):
            site.send(people, mail)
        subprocess.run(
            ["/usr/sbin/postconf", "-c", str(site.postfix.config), *shlex.split(command)[1:]], check=True
        )
        site.postfix.reload()
        site.send(people, mail)
        for recipient, got in site.copies(people).items():
            assert site.owner(got.body) == recipient


def test_mail_of_local_programs_takes_the_hop_too(site: HopSite) -> None:
    people = ["yan@rcpt.test", "zed@rcpt.test"]
    subprocess.run(
        ["/usr/sbin/sendmail", "-C", str(site.postfix.config), "-i", "-f", "cron@sender.test", *people],
        input=html_mail().replace(b"\r\n", b"\n"), check=True, timeout=20,
    )  # fmt: skip
    until(lambda: all(site.local(who) for who in people), 15, "the copies")
    for recipient in people:
        (got,) = site.local(recipient)
        assert site.owner(got) == recipient


def test_copies_of_the_header_get_links_and_fields_of_their_own(site: HopSite) -> None:
    """contract.md 9."""
    directive = {
        "cc": [{"email": "cc1@a.sink.test", "name": "C One"}],
        "bcc": ["bcc1@a.sink.test"],
        "archive": ["arc1@a.sink.test"],
        "campaign_id": "copies",
    }
    site.send(["orig1@a.sink.test"], html_mail(X_MSYS_API=json.dumps(directive)))
    got = site.copies(["orig1@a.sink.test", "cc1@a.sink.test", "bcc1@a.sink.test", "arc1@a.sink.test"])
    types = {who: {one.identity.rcpt_type for one in site.links(copy.body)} for who, copy in got.items()}
    assert types == {
        "orig1@a.sink.test": {""},
        "cc1@a.sink.test": {"cc"},
        "bcc1@a.sink.test": {"bcc"},
        "arc1@a.sink.test": {""},
    }
    for who in ("orig1", "cc1", "bcc1"):
        assert site.owner(got[f"{who}@a.sink.test"].body) == f"{who}@a.sink.test"
    assert got["arc1@a.sink.test"].body == got["orig1@a.sink.test"].body
    for who, copy in got.items():
        assert copy.field("Cc") == '"C One" <cc1@a.sink.test>'
        assert copy.field("Bcc") == ("bcc1@a.sink.test" if who.startswith("bcc") else "")


def test_no_copy_goes_when_the_mail_is_refused(site: HopSite) -> None:
    before = len(site.sink.got)
    directive = {"cc": ["cc2@a.sink.test"], "bcc": ["no address"]}
    with pytest.raises(smtplib.SMTPDataError) as refused:
        site.send(["orig2@a.sink.test"], html_mail(X_MSYS_API=json.dumps(directive)))
    assert refused.value.smtp_error == b"5.6.0 X-MSYS-API 'bcc' contains an invalid address"
    site.idle()
    assert len(site.sink.got) == before


# -- the mark


def _mark(site: HopSite, mail: bytes, people: list[str]) -> str:
    """The mark that the filter makes for this mail on its first pass."""
    client = MilterClient(site.filter.socket)
    client.connect(macros={"{daemon_port}": str(site.ports["in"])})
    answer = client.message(b"a@sender.test", [who.encode() for who in people], mail)
    client.quit()
    (value,) = (value for name, value in answer.fields if name == "X-Smtpapi-Split")
    return value.decode().strip().replace("\n", "\r\n")


_FORGED = "1 1\r\n AAECAwQFBgcICQoLDA0ODw=="


@pytest.mark.parametrize("port", ["in", "hop"])
@pytest.mark.parametrize("people", [["frg1"], ["frg2", "frg3"]], ids=["one", "several"])
def test_a_forged_mark_is_never_honoured_and_never_kept(site: HopSite, port: str, people: list[str]) -> None:
    people = [f"{who}.{port}@a.sink.test" for who in people]
    site.send(people, html_mail(X_Smtpapi_Split=_FORGED), port=port)
    for who in people:
        got = site.sink.wait_for(who)
        assert b"x-smtpapi-split" not in got.head.lower()
    site.idle()
    if port == "in" or len(people) == 1:
        for who, got in site.copies(people).items():
            assert site.owner(got.body) == who


def test_a_strangers_mail_passes_as_it_came_and_its_mark_leads_nowhere(site: HopSite) -> None:
    site.idle()
    before = site.filter.counts()["messages"]
    people = ["str1@rcpt.test", "str2@rcpt.test"]
    sent = html_mail(X_Smtpapi_Split=_FORGED, X_MSYS_API='{"campaign_id": "x"}')
    site.send(people, sent, port="untrusted")
    for who in people:
        until(lambda: site.local(who), 15, "the mail")  # noqa: B023 - called within this turn of the loop
        (got,) = site.local(who)
        assert got.endswith(sent)
    assert site.filter.counts()["messages"] == before + 1


def test_a_real_mark_counts_only_with_its_message_and_on_the_hop(site: HopSite) -> None:
    people = ["rpl1@a.sink.test", "rpl2@a.sink.test"]
    mark = _mark(site, html_mail(X_MSYS_API='{"campaign_id": "first"}'), people)
    other = HTML.replace(b"See", b"Another: see")
    cases: tuple[tuple[str, bytes, str, set[str]], ...] = (
        (
            "hop",
            html_mail(X_Smtpapi_Split=mark),
            "rpl1@a.sink.test",
            {"first"},
        ),  # what Postfix itself would send
        ("hop", html_mail(other, X_Smtpapi_Split=mark), "rpl3@a.sink.test", set()),  # in doubt, no links
        ("in", html_mail(X_Smtpapi_Split=mark), "rpl4@a.sink.test", {""}),
        ("in", html_mail(other, X_Smtpapi_Split=mark), "rpl5@a.sink.test", {""}),
    )
    for port, mail, who, campaigns in cases:
        site.send([who], mail, port=port)
        got = site.copies([who])[who]
        assert b"x-smtpapi-split" not in got.head.lower()
        opened = site.filter.links(got.body)
        assert {one.identity.campaign for one in opened} == campaigns
        assert {one.identity.recipient for one in opened} <= {who}


def test_address_mappings_happen_once(tmp_path: Path) -> None:
    """always_bcc in particular, which the second pass would double."""
    options = {
        "always_bcc": "always@b.sink.test",
        "virtual_alias_maps": "inline:{ { team@alias.test = t1@b.sink.test } }",
        "virtual_alias_domains": "alias.test",
    }
    with running(tmp_path, options=options) as site:
        site.send(["one@b.sink.test", "team@alias.test"], html_mail())
        people = ["one@b.sink.test", "t1@b.sink.test", "always@b.sink.test"]
        got = site.copies(people)
        assert len(site.sink.got) == 3
        assert {site.owner(copy.body) for copy in got.values()} == set(people)


def test_the_fragments_name_the_port_of_the_settings_default() -> None:
    port = load_text("smtpapi { }").rewriting.split_listener.rpartition(":")[2]
    for name in ("smtpapi_hop", "master.cf.hop"):
        assert re.findall(r"127\.0\.0\.1\]?:(\d+)", (_ETC / name).read_text())[-1] == port
    assert "/etc/postfix/smtpapi_hop" in (_ETC / "main.cf.hop").read_text()
