"""What Lua policies ask about what is outside their message: counts, the DNS, the way out."""

import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor.dns_server import DnsServer
from engagement.settings.scopes import ListenAddress
from smtpapi.model.envelope import Client, Envelope
from smtpapi.mta.services import SessionServices
from smtpapi.mta.session import Session
from smtpapi.policy import phases
from smtpapi.policy import windows as windows_module
from smtpapi.policy.core import VCTX_CONN, VCTX_MESS
from smtpapi.policy.lua.library import counts, names
from smtpapi.policy.lua.library.counts import CountError, Counts, network_of
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.traffic import TRAFFIC, Traffic
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage
from smtpapi.policy.windows import Windows
from unit.lua_runs import ENVELOPE, MESSAGE, load, logged, run

PEER = ENVELOPE.client.address


class Clock:
    """Stands in for the module `time`."""

    now = 100_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(counts, "time", made)
    return made


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    """This process's traffic, with nothing in it before and after."""
    empty, saved = Traffic(), dict(vars(TRAFFIC))
    vars(TRAFFIC).update(vars(empty))
    TRAFFIC.noting = True
    yield TRAFFIC
    vars(TRAFFIC).update(saved)


# -- windows


@given(
    adds=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9), st.integers(0, 200)), max_size=30),
    since=st.integers(0, 20),
    windows=st.integers(1, 20),
)
def test_a_sum_is_that_of_its_windows(adds: list[tuple[str, int, int]], since: int, windows: int) -> None:
    sums = Windows(10, 1000)
    for key, count, now in adds:
        sums.add(key, count, now)
    begin, end = since * 10, (since + windows) * 10
    expected = sum(count for key, count, now in adds if key == "a" and begin <= now < end)
    assert sums.of("a", begin, end) == sums.total(lambda key: key == "a", begin, end) == expected


def test_old_windows_are_forgotten() -> None:
    sums = Windows(10, 2)
    for now in (0, 10, 20, 30):
        sums.add("a", 1, now)
    assert sums.of("a", 0, 100) == 2


def test_a_flood_of_keys_takes_no_more_memory_and_old_keys_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows_module, "_MOST_KEYS", 3)
    sums = Windows(10, 2)
    for key in "abcde":
        sums.add(key, 1, 0)
    sums.add("a", 1, 0)
    assert [sums.of(key, 0, 10) for key in "abcde"] == [2, 1, 1, 0, 0]
    sums.remove("b")
    sums.remove("nobody")
    sums.add("d", 1, 0)
    assert sums.of("d", 0, 10) == 1
    sums.add("e", 1, 20)
    assert sums.of("e", 20, 30) == 1


# -- counts


def test_a_series_counts_a_client_by_its_windows(clock: Clock) -> None:
    made = Counts()
    made.define_series("s", "cidr", 300, 3)
    made.add("s", None, 1, PEER)
    made.add("s", "192.0.2.200", 5, PEER)
    made.add("s", "2001:db8::1", 7, PEER)
    clock.now += 300
    made.add("s", f"{PEER}:25", 2, PEER)
    assert made.count("s", None, 0, 0, PEER) == 2
    assert made.count("s", None, 0, 1, PEER) == 3
    assert made.count("s", None, 1, 1, PEER) == 1
    assert made.count("s", "/24", 0, 2, PEER) == 8
    assert made.count("s", "192.0.2.200", 0, 2, PEER) == 5
    assert made.count("s", "2001:db8::/32", 0, 2, PEER) == 7
    made.remove("s", None, PEER)
    assert made.count("s", "/24", 0, 2, PEER) == 5
    clock.now += 600
    assert made.count("s", "/24", 0, 2, PEER) == 0
    with pytest.raises(CountError, match="no series is named other"):
        made.count("other", None, 0, 0, PEER)
    with pytest.raises(CountError, match="is no address"):
        made.add("s", "here", 1, PEER)


def test_a_series_of_texts_wants_a_key(clock: Clock) -> None:
    made = Counts()
    made.define_series("s", "string", 60, 2)
    made.add("s", "x", 3, PEER)
    assert made.count("s", "x", 0, 1, PEER) == 3
    with pytest.raises(CountError, match="the key is missing"):
        made.count("s", None, 0, 1, PEER)


@pytest.mark.parametrize(
    ("cidr", "means"),
    [
        ("", f"{PEER}/32"),
        ("/24", "192.0.2.0/24"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("10.1.2.3:25", "10.1.2.3/32"),
        ("localhost/32", "127.0.0.1/32"),
        ("[2001:db8::1]/64", "2001:db8::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
    ],
)
def test_a_network_is_written_as_in_the_manual(cidr: str, means: str) -> None:
    assert network_of(cidr, PEER) == ip_network(means)


def test_what_clients_do_is_counted_while_a_policy_may_ask(traffic: Traffic) -> None:
    here, near = ip_network("192.0.2.7/32"), ip_network("192.0.2.0/24")
    traffic.opened(1, "192.0.2.7", 5.0)
    traffic.opened(2, "192.0.2.8", 15.0)
    traffic.opened(3, "unknown", 15.0)
    assert (traffic.sessions(here), traffic.sessions(near)) == (1, 2)
    traffic.closed(2)
    traffic.closed(2)
    assert traffic.sessions(near) == 1
    traffic.answered("192.0.2.7", 15.0, accepted=True)
    traffic.answered("192.0.2.7", 15.0, accepted=False)
    assert traffic.count("connections", near, 0, 20) == 2
    assert traffic.count("connections", near, 0, 10) == 1
    assert traffic.count("receptions", here, 0, 20) == traffic.count("rejections", here, 0, 20) == 1
    traffic.noting = False
    traffic.opened(4, "192.0.2.7", 15.0)
    assert traffic.sessions(here) == 1


def _opened(daemon_port: int) -> Session:
    """A session from the peer at this port of the MTA; 10026 is the hop's."""
    services = mock.MagicMock(hop=ListenAddress(ip_address("127.0.0.1"), 10026))
    services.tick.return_value = 5.0
    services.counts = lambda client: SessionServices.counts(services, client)
    services.missing.return_value = ""
    macros = {"{daemon_addr}": "127.0.0.1", "{daemon_port}": str(daemon_port)}
    session = Session(services)
    session._ctx = mock.MagicMock()
    session._ctx.getsymval = macros.get
    session.negotiate([0, 0, 0, 0])
    session.connect("client.test", socket.AF_INET, (PEER, 4000))
    return session


def test_a_session_counts_from_its_connection_to_its_end_and_the_hop_s_does_not(traffic: Traffic) -> None:
    here = ip_network(PEER)
    session, copies = _opened(25), _opened(10026)
    assert (traffic.sessions(here), traffic.count("connections", here, 0, 10)) == (1, 1)
    copies.close()
    assert traffic.sessions(here) == 1
    session.close()
    assert (traffic.sessions(here), traffic.count("connections", here, 0, 10)) == (0, 1)


def test_a_policy_asks_for_sessions_connections_and_messages(traffic: Traffic) -> None:
    now = time.monotonic()
    traffic.opened(1, PEER, now)
    traffic.opened(2, "192.0.2.9", now)
    traffic.answered(PEER, now, accepted=True)
    assert logged(
        "print(ac:inbound_session_count(), ac:inbound_session_count('/24', 'SMTP'),"
        " ac:pbp_inbound_session_count_service('SMTP', '/32'), "
        " msys.audit.inbound_session_count('/24', 'SMTP'))"
        " print(msys.audit.connections('3600,2', {cidr = '/24', endv = 1}), msys.audit.receptions('3600,2'),"
        " msys.audit.rejections('3600,2', '192.0.2.0/24'))"
    ) == ["1\t2\t1\t2", "2\t1\t0"]


@pytest.mark.parametrize(
    "asks",
    [
        "local n = msys.audit.connections",
        "ac:inbound_session_count()",
        "ac:pbp_inbound_session_count_service('SMTP')",
    ],
)
def test_a_script_that_may_ask_lets_the_filter_note_from_the_start(traffic: Traffic, asks: str) -> None:
    traffic.noting = False
    load("print(1)")
    assert not traffic.noting
    load(asks)
    assert traffic.noting


def test_counts_of_a_policy_last_over_messages() -> None:
    head = (
        "local c = msys.counter.open('/a', msys.counter.STRICT)"
        " msys.audit_series.define('s', 'cidr', 300, 6, {persist = true})"
        " msys.gauge_cache.define('g', 10, 60)\n"
    )
    policy = load(
        "msys.audit_series.add('s', ac) msys.audit_series.add('s', {key = '10.0.0.1', count = 3})"
        " msys.counter.inc(c) msys.counter.add('/b', 2) msys.gauge_cache.inc('g', 'k')"
        " local count = msys.audit_series.count"
        " print(count('s', {key = ac, endv = 1}), count('s', '10.0.0.0/8'),"
        " msys.counter.read('/a'), msys.counter.read('/b'), msys.gauge_cache.get('g', 'k'))",
        head=head,
    )
    assert [text for _, text in run(policy)[1].lines] == ["1\t3\t1\t2\t1"]
    assert [text for _, text in run(policy)[1].lines] == ["2\t6\t2\t4\t2"]


def test_counters_and_gauges_go_down_and_away() -> None:
    assert logged(
        "msys.counter.add('/a', 5) msys.counter.reset('/a') print(msys.counter.read('/a'))"
        " msys.counter.inc('/a') msys.counter.unlink('/a') print(msys.counter.read('/a'))"
        " msys.gauge_cache.define('g', 2, 60)"
        " local get = msys.gauge_cache.get"
        " for _, k in ipairs({'x', 'y', 'z'}) do msys.gauge_cache.inc('g', k) end"
        " msys.gauge_cache.dec('g', 'z')"
        " print(get('g', 'x'), get('g', 'y'), get('g', 'z'))"
        " msys.gauge_cache.remove_item('g', 'y') print(msys.gauge_cache.get('g', 'y'))"
    ) == ["0", "0", "0\t1\t0", "0"]


def test_a_count_that_cannot_be_had_is_0_and_warned_of() -> None:
    logged_line = logged("print(msys.audit_series.count('none', ac), msys.audit.connections('x'))")
    assert logged_line == [
        "p.lua:2: no series is named none: msys.audit_series.define in init (docs/policy-lua.md)",
        "p.lua:2: 'x' is no monitor: \"seconds,windows\" (docs/policy-lua.md)",
        "0\t0",
    ]


def test_a_series_that_is_none_is_an_error() -> None:
    logged_line = logged("print(pcall(msys.audit_series.define, 's', 'cidr', 0, 3))")[0]
    assert "at least one second" in logged_line


# -- the DNS


@pytest.fixture
def server() -> Iterator[DnsServer]:
    records = [
        ("a.test", "A", "192.0.2.1"),
        ("a.test", "TXT", '"v=x" "y"'),
        ("m.test", "MX", "20 b.test."),
        ("m.test", "MX", "10 a.test."),
        ("7.2.0.192.in-addr.arpa", "PTR", "me.test."),
        ("me.test", "A", "192.0.2.7"),
        ("8.2.0.192.in-addr.arpa", "PTR", "liar.test."),
        ("liar.test", "A", "192.0.2.99"),
    ]
    with DnsServer(records, silent=["silent.test"], broken=["bad.test"]) as made:
        yield made


@pytest.fixture
def resolver(server: DnsServer, monkeypatch: pytest.MonkeyPatch) -> DnsServer:
    """The server is this host's resolver."""
    made = names.resolver_of(f"127.0.0.1:{server.port}")
    monkeypatch.setattr(names, "resolver_of", lambda _: made)
    monkeypatch.setattr(names, "SECONDS", 0.2)
    return server


def test_names_are_looked_up(resolver: DnsServer) -> None:
    assert logged(
        "local d = msys.dnsLookup print(d('a.test')[1], d('a.test', 'txt')[1], d('m.test', 'MX')[1],"
        " d('m.test', 'mx', {priority = true})[2][1], d('m.test', 'MX')[2])"
        " print(d('none.test')) print(d('a.test', 'AAAA')) print(d('bad.test'))"
    ) == ["192.0.2.1\tv=xy\ta.test\t20\tb.test", "nil\tNXDOMAIN", "nil\tNODATA", "nil\tSERVFAIL"]


def test_a_resolver_that_does_not_answer_is_waited_for_once(resolver: DnsServer) -> None:
    policy = load(
        "for i = 1, 50 do msys.dnsLookup('silent.test') end print((select(2, msys.dnsLookup('silent.test'))))"
    )
    began = time.monotonic()
    assert [text for _, text in run(policy)[1].lines] == ["TIMEOUT"]
    assert time.monotonic() - began < 5
    resolver.silent.clear()
    resolver.records.append(("silent.test", "A", "192.0.2.5"))
    assert [text for _, text in run(policy)[1].lines] == ["TIMEOUT"]


def test_a_type_that_is_none_is_an_error(resolver: DnsServer) -> None:
    assert "XYZ is no type of record here" in logged("print(pcall(msys.dnsLookup, 'a.test', 'xyz'))")[0]


@pytest.mark.parametrize(
    ("client", "printed"),
    [
        ("192.0.2.7", "true\tnil\tnil\tme.test\ttrue"),
        ("192.0.2.8", "false\tnil\tNXDOMAIN\tliar.test\tfalse"),
        ("192.0.2.9", "false\tNXDOMAIN\tnil\t\tfalse"),
    ],
)
def test_a_client_s_name_must_lead_back_to_it(resolver: DnsServer, client: str, printed: str) -> None:
    envelope = Envelope(Client(client), "a@s.test", ("b@r.test",), "Q1")
    body = (
        "local ok, there, back = msys.pbp.fcdns_check(ac, vctx)"
        " print(ok, there, back, vctx:get(2, 'reverse_dns'), vctx:get(2, 'fcdns_status'))"
    )
    assert logged(body, envelope) == [printed]


def test_momentum_s_default_policy_knows_whitelists_and_sizes() -> None:
    assert logged(
        "print(msys.pbp.check_whitelist(vctx, {'a', 'b'})) msys.pbp.set_whitelist(vctx, 2, 'b', true)"
        " local listed = msys.pbp.check_whitelist"
        " print(listed(vctx, {'a', 'b'}), listed(vctx, {honor_whitelist = {'b'}}),"
        " listed(vctx, {'a'})) print(msys.pbp.size_in_bytes('30m'), msys.pbp.size_in_bytes(7))"
        " print(msys.config('get', 'x') == nil, trim('  a b ') .. '|')"
    )[:3] == ["false", "true\ttrue\tfalse", "31457280\t7"]


# -- the way out

_HOOKS = """
local m = {}
function m:validate_data_spool_each_rcpt(msg, ac, vctx)
  msg:context_set(1, "kept", "1")
  if msg:rcptto():find("^b") then msg:routing_domain("Relay Host.example") end
  return msys.core.VALIDATE_CONT
end
function m:validate_set_binding(msg)
  print(msg:routing_domain(), msg:binding(), msg:context_get(1, "kept"), msg:header("X-Binding")[1])
  msg:context_set(1, "kept", "2")
  local name = msg:header("X-Way")[1]
  if name then msg:binding(name) end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("m", m)
"""


def _way(
    recipient: str, way: str, header: str = "X-Binding"
) -> tuple[tuple[str, ...], str | None, list[str]]:
    """What a copy's hooks make of X-Binding, what stays in the context, and what they print."""
    policy = LuaPolicy([LuaSource(Path("p.lua"), _HOOKS.encode())], Path.read_bytes, binding_header=header)
    mail, vctx = PolicyMessage(ENVELOPE, MESSAGE), ValidationContext({})
    mail.add_header("X-Binding", "the sender's")
    if way:
        mail.add_header("X-Way", way)
    copy = mail.for_recipient(recipient)
    phases.each(policy, ENVELOPE, copy, vctx)
    mail.close()
    return copy.header("X-Binding"), vctx.get(VCTX_MESS, "kept"), [text for _, text in mail.lines]


def test_the_mta_is_told_of_binding_and_routing_domain() -> None:
    printed = "relay_host.example\tnil\t1\tthe sender's"
    assert _way("b@r.test", "") == (("- relay_host.example",), "1", [printed])
    assert _way("b@r.test", "fall through") == (("fall_through relay_host.example",), "1", [printed])
    assert _way("c@r.test", "b1") == (("b1",), "1", ["r.test\tnil\t1\tthe sender's"])
    assert _way("c@r.test", "") == (("the sender's",), "1", ["r.test\tnil\t1\tthe sender's"])


def test_a_binding_before_the_hooks_for_each_recipient_is_warned_of() -> None:
    text = (
        "local m = {} function m:validate_data(msg) msg:binding('b') return 0 end msys.registerModule('m', m)"
    )
    policy = LuaPolicy([LuaSource(Path("p.lua"), text.encode())], Path.read_bytes, binding_header="X-B")
    _, mail = run(policy)
    assert mail.header("X-B") == ()
    assert mail.route is None
    assert [line for _, line in mail.lines] == [
        "p.lua:1: msg:binding has no effect before the hooks for each recipient (docs/policy-lua.md)"
    ]


def test_what_has_no_effect_is_warned_of_once() -> None:
    policy = load(
        "msg.priority = 1 ac:esmtp_capability_add('X') ac:esmtp_capability_add('X') print(msg.priority)"
    )
    assert [text for _, text in run(policy)[1].lines] == [
        "p.lua:2: msg.priority has no effect here (docs/policy-lua.md)",
        "p.lua:2: ac:esmtp_capability_add has no effect here: the MTA answers EHLO (docs/policy-lua.md)",
        "0",
    ]
    assert [text for _, text in run(policy)[1].lines] == ["0"]


def test_debug_output_is_logged_at_debug_and_a_trace_is_text() -> None:
    policy = load(
        "debug.output('a', 1) print(debug.getinfo(1).currentline, debug.traceback('x'):match('^x\\n'))"
    )
    assert run(policy)[1].lines == [(7, "a\t1"), (6, "2\tx\n")]


def test_the_session_keeps_what_the_last_hook_sets_on_it() -> None:
    text = (
        "local m = {} function m:validate_set_binding(msg) msg:context_set(2, 'x', '1') return 0 end"
        " msys.registerModule('m', m)"
    )
    policy = LuaPolicy([LuaSource(Path("p.lua"), text.encode())], Path.read_bytes)
    vctx = ValidationContext({})
    phases.each(policy, ENVELOPE, PolicyMessage(ENVELOPE, MESSAGE).for_recipient("b@r.test"), vctx)
    assert vctx.get(VCTX_CONN, "x") == "1"
