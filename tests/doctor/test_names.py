"""`smtpapi doctor --only dns`, with a real DNS server on loopback."""

from collections.abc import Sequence

import pytest

from doctor.dns_server import DnsServer, Record, zone
from doctor.reading import complete, only
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.web import names

HOST = "track.example.test"


def _found(
    *records: Record, other: Sequence[Record] | None = None, https: bool = True, **odd: tuple[str, ...]
) -> list[Finding]:
    """What is found with this zone, which its authoritative server knows otherwise where `other` is given."""
    with DnsServer(zone("example.test", *records), **odd) as server:
        resolver = names.Server("127.0.0.1", server.port)
        servers = (resolver, *names.authoritative(HOST, resolver, server.port))
        answers = [names.ask(HOST, each) for each in servers]
        caa = names.caa_of(HOST, resolver)
    if other is not None:
        with DnsServer(zone("example.test", *other)) as second:
            answers.append(names.ask(HOST, names.Server("127.0.0.1", second.port)))
    return complete(names.check(HOST, answers, caa, https=https))


def test_a_host_with_both_families_is_well() -> None:
    found = _found((HOST, "A", "192.0.2.1"), (HOST, "AAAA", "2001:db8::1"))
    assert [each.level for each in found] == [Level.OK]
    assert found[0].what == f"{HOST} is 192.0.2.1, 2001:db8::1"


def test_an_alias_is_followed_and_named() -> None:
    found = _found(
        (HOST, "CNAME", "web.example.test."), ("web.example.test", "A", "192.0.2.1"), ("web.example.test",
        "AAAA", "2001:db8::1")
    )  # fmt: skip
    assert [each.what for each in found] == [f"{HOST} is web.example.test, 192.0.2.1, 2001:db8::1"]


def test_the_name_servers_of_the_zone_are_asked_too() -> None:
    with DnsServer(zone("example.test", (HOST, "A", "192.0.2.1"))) as server:
        found = names.authoritative(HOST, names.Server("127.0.0.1", server.port), server.port)
    assert found == (
        names.Server("127.0.0.1", server.port, "ns.example.test (authoritative)", authoritative=True),
    )


_EMPTY = (("empty.example.test", "TXT", '"x"'), (HOST, "CNAME", "empty.example.test."))
_MISSING: dict[str, tuple[list[Record], str, Level]] = {
    "missing": ([], "there is no such name", Level.ERROR),
    "empty": ([(HOST, "TXT", '"x"')], "neither an A nor an AAAA", Level.ERROR),
    "dangling": ([(HOST, "CNAME", "gone.example.test.")], "(CNAME) of gone.example.test, which", Level.ERROR),
    "no address": ([*_EMPTY], "(CNAME) of empty.example.test, which has no address", Level.ERROR),
    "IPv6 alone": ([(HOST, "AAAA", "2001:db8::1")], "has no A record", Level.ERROR),
    "IPv4 alone": ([(HOST, "A", "192.0.2.1")], "has no AAAA record", Level.NOTE),
}


@pytest.mark.parametrize(("records", "says", "level"), _MISSING.values(), ids=_MISSING)
def test_what_is_missing(records: list[Record], says: str, level: Level) -> None:
    (finding,) = [each for each in _found(*records) if each.level is level]
    assert says in finding.what


def test_servers_that_disagree() -> None:
    (finding,) = only(_found((HOST, "A", "192.0.2.1"), other=[(HOST, "A", "192.0.2.9")]))
    assert finding.level is Level.WARNING
    assert "192.0.2.1" in finding.what
    assert "192.0.2.9" in finding.what


def test_a_server_that_does_not_know_the_name_that_others_know() -> None:
    (finding,) = only(_found((HOST, "A", "192.0.2.1"), other=[]))
    assert "there is no such name" in finding.what


def test_a_server_that_fails_beside_one_that_answers() -> None:
    with (
        DnsServer(zone("example.test", (HOST, "A", "192.0.2.1"))) as good,
        DnsServer([], broken=[HOST]) as bad,
    ):
        answers = [names.ask(HOST, names.Server("127.0.0.1", each.port)) for each in (good, bad)]
    (finding,) = only(complete(names.check(HOST, answers, (), https=True)))
    assert (finding.level, "gives no answer: it fails" in finding.what) == (Level.WARNING, True)


def test_no_server_answers() -> None:
    with DnsServer([], broken=[HOST]) as bad:
        answers = [names.ask(HOST, names.Server("127.0.0.1", bad.port))]
    assert [each.level for each in complete(names.check(HOST, answers, (), https=True))] == [Level.ERROR]


def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_SECONDS", 0.3)
    with DnsServer([], silent=[HOST]) as bad:
        answer = names.ask(HOST, names.Server("127.0.0.1", bad.port))
    assert answer.trouble.startswith("no answer within")


@pytest.mark.parametrize(("https", "level"), [(True, Level.ERROR), (False, Level.NOTE)])
def test_caa_that_lets_nobody_issue(https: bool, level: Level) -> None:
    found = _found((HOST, "A", "192.0.2.1"), ("example.test", "CAA", '0 issue ";"'), https=https)
    (finding,) = [each for each in found if "CAA" in each.what]
    assert (finding.level, "lets nobody issue" in finding.what) == (level, True)


def test_caa_that_names_its_issuers() -> None:
    found = _found((HOST, "A", "192.0.2.1"), ("example.test", "CAA", '0 issue "letsencrypt.org"'))
    (finding,) = [each for each in found if "CAA" in each.what]
    assert finding.what == "CAA of example.test lets letsencrypt.org issue"


def test_the_nearest_caa_counts() -> None:
    with DnsServer(
        zone("example.test", (HOST, "CAA", '0 issue "a.test"'), ("example.test", "CAA", '0 issue ";"'))
    ) as server:
        (record,) = names.caa_of(HOST, names.Server("127.0.0.1", server.port))
    assert (record.at, record.value) == (HOST, "a.test")
