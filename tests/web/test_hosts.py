"""Names and addresses of a request, and which names the tracker answers to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.settings import load_text
from tracker_web.links.client_address import Proxies, as_address, host_name
from tracker_web.links.hosts import parse_listen, tracking_hosts
from tracker_web.links.responses import front_page
from tracker_web.web.app import web_hosts

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Track.Example.COM", "track.example.com"),
        ("track.example.com:8080", "track.example.com"),
        ("track.example.com.", "track.example.com"),
        ("track.example.com:", "track.example.com"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("", ""),
        (":80", ""),
        ("[::1", ""),
        ("[::1]x", ""),
        ("a:b", ""),
        ("a:80:80", ""),
        ("a:123456", ""),
        ("a:\u0661", ""),
    ],
)
def test_host_is_compared_without_case_port_and_final_dot(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("listen", "page", "links"),
    [
        ("127.0.0.1:8080", LOOPBACK, LOOPBACK),
        ("localhost:8080", LOOPBACK, LOOPBACK),
        ("[::1]:8080", LOOPBACK, LOOPBACK),
        ("0.0.0.0:8080", LOOPBACK, LOOPBACK),
        ("[::]:8080", LOOPBACK, LOOPBACK),
        ("192.0.2.7:8080", LOOPBACK | {"192.0.2.7"}, {"192.0.2.7"}),
        ("tracker.example.net:8080", LOOPBACK | {"tracker.example.net"}, {"tracker.example.net"}),
    ],
)
def test_names_follow_from_the_listen_address(listen: str, page: set[str], links: set[str]) -> None:
    text = f'tracker {{ listen = "{listen}" hosts = ( "Old.Example.org:81" ) }}\n'
    text += f'web {{ listen = "{listen}" hosts = ( "Events.Example.org" ) }}\n'
    text += 'ESMTP_Listener { tracking_domain = "track.example.com:8443" Listen ":25" { } }\n'
    settings = load_text(text)
    assert web_hosts(settings) == page | {"events.example.org"}
    assert tracking_hosts(settings) == links | {"track.example.com", "old.example.org"}
    assert str(parse_listen(listen)) == listen


def test_tracking_domain_is_no_name_of_the_pages() -> None:
    settings = load_text('ESMTP_Listener { tracking_domain = "track.example.com" Listen ":25" { } }\n')
    assert "track.example.com" in tracking_hosts(settings)
    assert web_hosts(settings) == LOOPBACK


@given(st.text(max_size=60), st.text(max_size=200))
def test_no_header_of_a_stranger_raises(peer: str, forwarded: str) -> None:
    host_name(forwarded)
    as_address(forwarded)
    client = Proxies(("127.0.0.0/8",)).client(peer, forwarded)
    assert client == "" or as_address(client) is not None


@pytest.mark.parametrize("forwarded", ["203.0.113.9", "203.0.113.9, 127.0.0.1", "unknown", ""])
def test_peer_of_a_unix_socket_has_no_address_where_loopback_is_no_trusted_proxy(forwarded: str) -> None:
    assert Proxies(("192.0.2.0/24",)).client("", forwarded) == ""


def test_page_at_the_bare_name_says_who_sends_and_escapes_it() -> None:
    """Nothing else about anybody, and no script may run."""
    headers, named = front_page("Fjord & <b>Sons</b>")
    assert b"e-mail from Fjord &amp; &lt;b&gt;Sons&lt;/b&gt; lead" in named
    assert ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'") in headers
    assert b"e-mail lead" in front_page("")[1]
