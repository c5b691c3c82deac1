"""Recipients on the suppression list, through a real Postfix and a real Sendmail, with their hops."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from engagement.suppression.model import Entry, MailKind, Source
from mta import hop_site, sendmail_site
from mta.hop_site import HopSite
from mta.mta_site import Filter
from mta.sendmail_site import READDRESS
from mta.site_parts import html_mail
from mta.smtp_sink import Sink
from mta.suppression_site import SuppressionSite, listed, stanzas

pytestmark = pytest.mark.mta

T, N = MailKind.TRANSACTIONAL, MailKind.NON_TRANSACTIONAL
REASON = b"5.7.1 recipient address was suppressed due to customer policy: "
# Sendmail relays for 127.0.0.1 alone, and each client here has an address of its own.
_RELAYS = "RELAY_DOMAIN(`127')dnl"
API = json.dumps({"campaign_id": "autumn"})


@dataclass
class Site:
    """An MTA with filter, sink and list. idle: waits until nothing is in the queue."""

    mta: HopSite | sendmail_site.Site
    list: SuppressionSite

    @property
    def sink(self) -> Sink:
        return self.mta.sink

    @property
    def filter(self) -> Filter:
        return self.mta.filter

    def nothing_for(self, *recipients: str) -> bool:
        self.mta.idle()
        return not any(self.sink.all_for(each) for each in recipients)


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "postfix":
        with (
            hop_site.running(folder, more=stanzas(folder), workers=1) as postfix,
            listed(postfix.filter, folder, postfix.ports["in"]) as there,
        ):
            yield Site(postfix, there)
    else:
        with (
            sendmail_site.running(
                folder, READDRESS, features=_RELAYS, filter_more=stanzas(folder)
            ) as sendmail,
            listed(sendmail.filter, folder, sendmail.sendmail.ports["on"]) as there,
        ):
            yield Site(sendmail, there)


def test_a_recipient_is_refused_at_rcpt(site: Site) -> None:
    site.list.put(Entry("ann1@a.sink.test", N, Source.LIST_UNSUBSCRIBE), Entry("bob1@b.sink.test", T))
    assert site.list.rcpt("refuse_at_rcpt", "Ann1@A.sink.test") == (554, REASON + b"List Unsubscribe")
    for client, recipient in (
        ("refuse_at_rcpt", "bob1@b.sink.test"),
        ("refuse", "ann1@a.sink.test"),
        ("remove", "ann1@a.sink.test"),
        ("off", "ann1@a.sink.test"),
    ):
        assert site.list.rcpt(client, recipient)[0] == 250
    bounce, injection = site.list.events("ann1@a.sink.test", 2)
    assert (bounce["type"], bounce["bounce_class"], bounce["error_code"]) == ("bounce", "25", "554")
    assert bounce["raw_reason"] == "554 " + REASON.decode() + "List Unsubscribe"
    assert injection["type"] == "injection"
    assert bounce["message_id"] == injection["message_id"]


def test_a_mail_for_nobody_else_is_refused_and_transactional_mail_passes(site: Site) -> None:
    site.list.put(Entry("ann2@a.sink.test", N, Source.SPAM_COMPLAINT))
    code, answer = site.list.send("refuse", ["ann2@a.sink.test"], html_mail(X_MSYS_API=API))
    assert (code, answer) == (554, REASON + b"Spam Complaint")
    assert site.nothing_for("ann2@a.sink.test")
    bounce, injection = site.list.events("ann2@a.sink.test", 2)
    assert (bounce["bounce_class"], bounce["campaign_id"]) == ("25", "autumn")
    assert injection["type"] == "injection"
    options = '{"options": {"transactional": true}}'
    assert site.list.send("refuse", ["ann2@a.sink.test"], html_mail(X_MSYS_API=options))[0] == 250
    site.sink.wait_for("ann2@a.sink.test")


def test_skip_suppression_asks_nobody(site: Site) -> None:
    site.list.put(Entry("ann3@a.sink.test", N))
    options = '{"options": {"skip_suppression": true}}'
    assert site.list.send("refuse", ["ann3@a.sink.test"], html_mail(X_MSYS_API=options))[0] == 250
    site.sink.wait_for("ann3@a.sink.test")
    assert site.list.send("off", ["ann3@a.sink.test"], html_mail())[0] == 250


def test_among_several_one_is_taken_out_and_the_others_take_the_hop(site: Site) -> None:
    site.list.put(Entry("bob4@b.sink.test", N))
    people = ["ann4@a.sink.test", "bob4@b.sink.test", "cy4@c.sink.test"]
    for client in ("remove", "refuse"):
        mail = html_mail(X_MSYS_API=API).replace(b"<1@sender.test>", f"<{client}@sender.test>".encode())
        assert site.list.send(client, people, mail)[0] == 250
    for recipient in ("ann4@a.sink.test", "cy4@c.sink.test"):
        got = site.sink.wait_for(recipient)
        assert {each.identity.recipient for each in site.filter.links(got.body)} == {recipient}
        site.mta.idle()
        assert [each.recipients for each in site.sink.all_for(recipient)] == [(recipient,)] * 2
    assert site.nothing_for("bob4@b.sink.test")
    events = site.list.events("bob4@b.sink.test", 4)
    assert [each["type"] for each in events] == ["bounce", "bounce", "injection", "injection"]


def test_a_mail_for_nobody_else_is_accepted_and_dropped(site: Site) -> None:
    site.list.put(Entry("ann5@a.sink.test", N))
    assert site.list.send("remove", ["ann5@a.sink.test"], html_mail())[0] == 250
    assert site.nothing_for("ann5@a.sink.test")
    assert [each["type"] for each in site.list.events("ann5@a.sink.test", 2)] == ["bounce", "injection"]


def test_copies_that_the_header_asks_for_are_looked_up_too(site: Site) -> None:
    site.list.put(Entry("kim6@c.sink.test", N))
    directive = json.dumps({"cc": ["kim6@c.sink.test", "lee6@c.sink.test"]})
    assert site.list.send("remove", ["ann6@a.sink.test"], html_mail(X_MSYS_API=directive))[0] == 250
    site.sink.wait_for("ann6@a.sink.test")
    site.sink.wait_for("lee6@c.sink.test")
    assert site.nothing_for("kim6@c.sink.test")
    (bounce, injection) = site.list.events("kim6@c.sink.test", 2)
    assert (bounce["rcpt_type"], injection["rcpt_type"]) == ("cc", "cc")
