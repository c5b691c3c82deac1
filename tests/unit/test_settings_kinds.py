"""What each kind of value accepts, refuses, and writes again."""

from typing import Any

import pytest

from engagement.settings import kinds
from engagement.settings.declare import Option, options_of
from engagement.settings.kinds import Kind
from engagement.settings.problems import KindError
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.syntax import parse
from engagement.settings.tree import Assign, ValueNode

ALL = [*SCOPED.values(), *(option for stanza in STANZAS.values() for option in options_of(stanza))]


def value(text: str, file: str = "<text>") -> ValueNode:
    (item,) = parse(f"a = {text}", file).items
    assert isinstance(item, Assign)
    return item.value


@pytest.mark.parametrize("option", ALL, ids=lambda option: option.name)
def test_defaults_and_examples_read_as_they_are_written(option: Option) -> None:
    for each in (option.default, option.example):
        if each is not None:
            assert option.kind.read(value(option.kind.show(each))) == each


@pytest.mark.parametrize("option", ALL, ids=lambda option: option.name)
def test_every_option_has_words_for_a_person(option: Option) -> None:
    assert option.help.endswith(".")
    assert option.since == "0.1.0"
    assert option.kind.words


CASES: list[tuple[str, Kind[Any], str, object]] = [
    ("boolean", kinds.boolean(), '"YES"', True),
    ("boolean", kinds.boolean(), "Off", False),
    ("integer", kinds.integer(-5, 5), '"-5"', -5),
    ("integer", kinds.integer(0, 500), "007", 7),
    ("choice", kinds.choice("full", "off"), "FULL", "full"),
    ("scheme", kinds.scheme(), "HTTPS", "https"),
    ("level", kinds.debug_level(), "5", "CRITICAL"),
    ("level", kinds.debug_level(), '"warning"', "WARNING"),
    ("list", kinds.words_list("words"), "one", ("one",)),
    ("list", kinds.words_list("words"), "()", ()),
    ("domain", kinds.tracking_domain(), "T.Example.Net", "T.Example.Net"),
    ("domain", kinds.tracking_domain(), "localhost:8080", "localhost:8080"),
    ("domain", kinds.tracking_domain(), "xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("domain", kinds.tracking_domain(), "192.0.2.1:65535", "192.0.2.1:65535"),
    ("domain", kinds.tracking_domain(), '"[2001:db8::1]"', "[2001:db8::1]"),
    ("domain", kinds.tracking_domain(), '"[2001:db8::1]:443"', "[2001:db8::1]:443"),
    ("socket", kinds.milter_socket(), "inet6:8891@::1", "inet6:8891@::1"),
    ("socket", kinds.milter_socket(), '"local:/run/x"', "local:/run/x"),
    ("networks", kinds.network_texts(), '("10.1.2.3/8" ::1)', ("10.0.0.0/8", "::1/128")),
    ("pairs", kinds.pairs(), "[ a = b c = d a = e ]", {"a": "e", "c": "d"}),
    ("patterns", kinds.patterns(), '"^https?://x"', ("^https?://x",)),
    ("patterns", kinds.patterns(), '"[[]a]"', ("[[]a]",)),
    ("listen", kinds.http_listen(), "localhost:80", "localhost:80"),
]


@pytest.mark.parametrize(("name", "kind", "written", "expected"), CASES)
def test_value_is_accepted(name: str, kind: Kind[Any], written: str, expected: object) -> None:
    assert kind.read(value(written)) == expected, name


REFUSED: list[tuple[str, Kind[Any], list[str]]] = [
    ("boolean", kinds.boolean(), ["2", '""', "yess", "( true )", "[ ]"]),
    ("integer", kinds.integer(0, 10), ["11", "-1", "1.0", "0x1", "1k", '" 1"', "9" * 5000, '"\u0661"']),
    ("choice", kinds.choice("a", "b"), ["c", '""', "( a )"]),
    ("scheme", kinds.scheme(), ["ftp", "http:", "//"]),
    (
        "domain",
        kinds.tracking_domain(),
        [
            '""',
            "a..b",
            "-a.example",
            "a-.example",
            "a.example/",
            '"a b"',
            "user@a.example",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:80:80",
            "192.0.2.300",
            "1.2.3",
            '"[192.0.2.1]"',
            '"[::1"',
            '"[fe80::1%eth0]"',
            "::1",
            f"{'a' * 64}.example",
            f"{'a.' * 130}example",
        ],
    ),
    (
        "socket",
        kinds.milter_socket(),
        ["/run/x", "unix:run/x", "inet:8891", "inet:x@y", "inet:0@y", "tcp:1@y"],
    ),
    ("networks", kinds.networks(), ["example.net", "10.0.0.0/33", '("10.0.0.1" "")', "[ a = b ]"]),
    ("pairs", kinds.pairs(), ["a", "( a )", "[ a = ( b ) ]", '[ a = "x\\ny" ]']),
    ("patterns", kinds.patterns(), ['"("', '"*"', '("a" "[")', '"a{99999999999999}"']),
    ("listen", kinds.http_listen(), ["8080", ":8080", "127.0.0.1", "a.example:99999"]),
    ("nodes", kinds.cassandra_nodes(), ["host", '"host=;port=1"', '"host=a;port=x"']),
]


@pytest.mark.parametrize(
    ("kind", "written"), [(kind, each) for _, kind, refused in REFUSED for each in refused]
)
def test_value_is_refused_with_what_was_expected(kind: Kind[Any], written: str) -> None:
    with pytest.raises(KindError) as caught:
        kind.read(value(written))
    assert caught.value.expected == kind.words


def test_relative_path_counts_from_the_folder_of_its_file() -> None:
    assert kinds.path().read(value("policy.py", "/etc/smtpapi/smtpapi.conf")) == "/etc/smtpapi/policy.py"
    assert kinds.path().read(value('"../x"', "/etc/smtpapi/smtpapi.conf")) == "/etc/x"
    assert kinds.path().read(value("/srv/x", "/etc/smtpapi/smtpapi.conf")) == "/srv/x"
    assert kinds.path().read(value('""', "/etc/smtpapi/smtpapi.conf")) == ""
