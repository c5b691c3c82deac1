"""Momentum's SMTP commands from a plain client, through a Postfix with the shipped maps."""

import smtplib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engagement.events.model import Injection
from mta.hop_site import FILTER
from mta.mta_site import DOMAIN, Filter, Mta, free_port, open_folders, until
from mta.sasl_server import sasl_server
from mta.site_parts import html_mail, need_postfix
from private_mta.postfix import PrivatePostfix, Smtpd

pytestmark = pytest.mark.mta

_SHIPPED = Path(__file__).parents[2] / "etc" / "postfix"
_POLICY = """
from smtpapi.policy import core

def validate_data_spool(msg, ac, vctx):
    vctx.set(core.VCTX_MESS, "cust_greeting", ac.ehlo)
    vctx.set(core.VCTX_MESS, "cust_client", ac.remote_addr)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mta]:
    need_postfix()
    folder = tmp_path_factory.mktemp("commands")
    open_folders(folder)
    for name in ("smtpapi_commands", "smtpapi_received"):
        (folder / name).write_bytes((_SHIPPED / name).read_bytes())
    (folder / "policy.py").write_text(_POLICY)
    (folder / "customers").write_text("# whose logins these are\nann 17\nbob\t23\n")
    ports = {name: free_port() for name in ("context", "unlisted", "untrusted")}
    options = {
        "smtpd_milters": FILTER,
        "smtpd_command_filter": f"regexp:{folder}/smtpapi_commands",
        "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": "milter/auth",
    }
    postfix = PrivatePostfix(
        folder / "postfix",
        [Smtpd(port, options) for port in ports.values()],
        maildir=folder / "maildir",
        options={
            "inet_protocols": "all",
            "header_checks": f"regexp:{folder}/smtpapi_received",
            "mynetworks": "127.0.0.0/8, 10.0.0.0/8, 192.0.2.0/24, [2001:db8::]/32",
        },
    )
    extensions = "SMTP_Extensions = ( XSETCONTEXT XDUMPCONTEXT XREMOTEIP )"
    listener = f"""
policy {{ file = "{folder}/policy.py" }}
customers {{ by_login = "map" map = "{folder}/customers" }}
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}" click_tracking_enabled = true open_tracking_enabled = true
  Relay_Hosts = ( "127.0.0.0/8" "10.0.0.0/8" "2001:db8::/32" )
  Listen ":{ports["context"]}" {{ {extensions} }}
  Listen ":{ports["unlisted"]}" {{ }}
  Listen ":{ports["untrusted"]}" {{ {extensions} Relay_Hosts = ( "192.0.2.0/24" ) }}
}}"""
    with (
        postfix,
        sasl_server(postfix.queue / "milter" / "auth"),
        Filter(folder / "filter", listener, socket_path=postfix.milter_socket) as filter_,
    ):
        yield Mta(postfix, filter_, ports)


def _say(site: Mta, port: str, commands: Sequence[str], recipient: str) -> list[int]:
    """The codes of the commands; a mail follows them in the same session."""
    with smtplib.SMTP("127.0.0.1", site.ports[port], timeout=30) as smtp:
        smtp.ehlo("real.client.test")
        codes = []
        for command in commands:
            codes.append(smtp.docmd(command)[0])
        smtp.sendmail("a@sender.test", [recipient], html_mail())
    return codes


def _event(site: Mta, recipient: str) -> Injection:
    def there() -> list[Injection]:
        return [each for each in site.filter.injections() if each.recipient == recipient]

    until(there, what="the event")
    (event,) = there()
    return event


def test_xsetcontext_is_answered_250_and_its_campaign_stands_in_the_event(site: Mta) -> None:
    codes = _say(site, "context", ["XSETCONTEXT smtpapi_campaign_id=spring+20sale"], "one@rcpt.test")
    event = _event(site, "one@rcpt.test")
    assert (codes, event.campaign) == ([250], "spring sale")
    assert event.context["cust_greeting"] == "real.client.test"


def test_values_come_through_postfix_as_they_were_sent(site: Mta) -> None:
    line = 'XSETCONTEXT smtpapi_tags=["a","b,"] smtpapi_metadata={"n":17,"a:+3D":"x:y"} cust_x=<c> cust_y=e:'
    assert _say(site, "context", [line], "values@rcpt.test") == [250]
    event = _event(site, "values@rcpt.test")
    assert (event.tags, event.metadata) == (("a", "b,"), '{"n":17,"a:=":"x:y"}')
    assert (event.context["cust_x"], event.context["cust_y"]) == ("<c>", "e:")


def test_what_the_reader_gets_does_not_show_the_variables(site: Mta) -> None:
    line = 'XSETCONTEXT smtpapi_campaign_id=secret smtpapi_tags=["secret","(x)"]'
    _say(site, "context", [line, "XDUMPCONTEXT"], "received@rcpt.test")
    head = site.delivered("received@rcpt.test").partition(b"\r\n\r\n")[0]
    assert b"Received: from unknown (localhost [127.0.0.1])" in head
    assert b"xsetcontext" not in head
    assert b"secret" not in head


def test_a_client_that_greets_again_keeps_its_name_and_its_variables(site: Mta) -> None:
    _say(site, "context", ["XSETCONTEXT smtpapi_campaign_id=kept", "EHLO again.test"], "again@rcpt.test")
    event = _event(site, "again@rcpt.test")
    assert (event.campaign, event.context["cust_greeting"]) == ("kept", "again.test")
    assert b"Received: from again.test (localhost [127.0.0.1])" in site.delivered("again@rcpt.test")


@pytest.mark.parametrize("command", ["", " "])
def test_xsetcontext_without_variables_is_no_command(site: Mta, command: str) -> None:
    assert _say(site, "context", ["XSETCONTEXT" + command], f"none{len(command)}@rcpt.test") == [500]


def test_a_listener_that_does_not_list_it_takes_no_variables(site: Mta) -> None:
    codes = _say(site, "unlisted", ["XSETCONTEXT smtpapi_campaign_id=spring"], "unlisted@rcpt.test")
    event = _event(site, "unlisted@rcpt.test")
    assert (codes, event.campaign) == ([250], "")
    assert event.context["cust_greeting"] == "real.client.test"


def test_from_an_untrusted_client_it_does_nothing(site: Mta) -> None:
    before = site.filter.counts()["context-refused"]
    sent = html_mail()
    _say(site, "untrusted", ["XSETCONTEXT smtpapi_campaign_id=spring"], "untrusted@rcpt.test")
    assert site.delivered("untrusted@rcpt.test").endswith(sent)
    assert site.filter.counts()["context-refused"] == before + 1


def test_xdumpcontext_writes_the_variables_into_the_log(site: Mta) -> None:
    codes = _say(site, "context", ["XSETCONTEXT cust_shown=a+20b", "XDUMPCONTEXT"], "dump@rcpt.test")
    assert codes == [250, 250]
    until(lambda: "127.0.0.1: [connection] cust_shown a b" in site.filter.log_text(), what="the log")


@pytest.mark.parametrize("address", ["10.9.8.7", "2001:db8::7"])
def test_xremoteip_makes_the_client_another_one(site: Mta, address: str) -> None:
    recipient = f"remote-{len(address)}@rcpt.test"
    commands = [f"XREMOTEIP {address}", "EHLO remote.test", "XSETCONTEXT smtpapi_campaign_id=far"]
    assert _say(site, "context", commands, recipient) == [220, 250, 250]
    event = _event(site, recipient)
    assert (event.campaign, event.context["cust_client"]) == ("far", address)


def test_xremoteip_may_take_trust_away(site: Mta) -> None:
    _say(site, "context", ["XREMOTEIP 192.0.2.9"], "far@rcpt.test")
    assert site.delivered("far@rcpt.test").endswith(html_mail())


@pytest.mark.parametrize(("login", "customer"), [("ann", "17"), ("bob", "23"), ("stranger", "")])
def test_the_customer_is_the_one_whose_login_it_is(site: Mta, login: str, customer: str) -> None:
    claim = "XSETCONTEXT smtpapi_campaign_id=login" + (" mo_customer_id=99" if customer else "")
    commands = [f"XCLIENT ADDR=192.0.2.9 LOGIN={login}", "EHLO real.client.test", claim]
    assert _say(site, "context", commands, f"{login}@rcpt.test") == [220, 250, 250]
    event = _event(site, f"{login}@rcpt.test")
    assert (event.campaign, event.customer_id) == ("login", customer)


def test_variables_count_after_a_login_and_the_login_says_whose_they_are(site: Mta) -> None:
    with smtplib.SMTP("127.0.0.1", site.ports["untrusted"], timeout=30) as smtp:
        smtp.ehlo("real.client.test")
        assert smtp.login("ann", "any")[0] == 235
        line = "XSETCONTEXT smtpapi_campaign_id=spring mo_customer_id=99"
        assert smtp.docmd(line)[0] == 250
        for number in (1, 2):
            smtp.sendmail("a@sender.test", [f"auth{number}@rcpt.test"], html_mail())
    for number in (1, 2):
        event = _event(site, f"auth{number}@rcpt.test")
        assert (event.campaign, event.customer_id) == ("spring", "17")
        assert event.context["cust_greeting"] == "real.client.test"


def test_variables_before_a_login_count_as_well(site: Mta) -> None:
    with smtplib.SMTP("127.0.0.1", site.ports["untrusted"], timeout=30) as smtp:
        smtp.ehlo("real.client.test")
        assert smtp.docmd("XSETCONTEXT smtpapi_campaign_id=early")[0] == 250
        assert smtp.login("bob", "any")[0] == 235
        smtp.sendmail("a@sender.test", ["early@rcpt.test"], html_mail())
    event = _event(site, "early@rcpt.test")
    assert (event.campaign, event.customer_id) == ("early", "23")
