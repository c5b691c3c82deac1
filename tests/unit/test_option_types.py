"""What each kind of value accepts, refuses, and writes again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engagement.settings import option_types
from engagement.settings.errors import OptionValueError
from engagement.settings.option import Option, options_of
from engagement.settings.option_types.option_type import OptionType
from engagement.settings.schema import SCOPED, STANZAS, PrivacyMode
from engagement.settings.syntax import parse
from engagement.settings.syntax_tree import AssignNode, ValueNode

REFERENCE = Path(__file__).parents[2] / "docs" / "settings.md"
ALL = [*SCOPED.values(), *(option for stanza in STANZAS.values() for option in options_of(stanza))]


def value(text: str, file: str = "<text>") -> ValueNode:
    (item,) = parse(f"a = {text}", file).items
    assert isinstance(item, AssignNode)
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
    assert option.kind.expected


CASES: list[tuple[str, OptionType[Any], str, object]] = [
    ("boolean", option_types.boolean(), '"YES"', True),
    ("boolean", option_types.boolean(), "Off", False),
    ("integer", option_types.integer(-5, 5), '"-5"', -5),
    ("integer", option_types.integer(0, 500), "007", 7),
    ("choice", option_types.choice("full", "off"), "FULL", "full"),
    ("choice", option_types.member(PrivacyMode), "Aggregate", PrivacyMode.AGGREGATE),
    ("scheme", option_types.scheme(), "HTTPS", "https"),
    ("level", option_types.debug_level(), "5", "CRITICAL"),
    ("level", option_types.debug_level(), '"warning"', "WARNING"),
    ("list", option_types.text_list("words"), "one", ("one",)),
    ("list", option_types.text_list("words"), "()", ()),
    ("domain", option_types.tracking_domain(), "T.Example.Net", "T.Example.Net"),
    ("domain", option_types.tracking_domain(), "localhost:8080", "localhost:8080"),
    ("domain", option_types.tracking_domain(), "xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("domain", option_types.tracking_domain(), "192.0.2.1:65535", "192.0.2.1:65535"),
    ("domain", option_types.tracking_domain(), '"[2001:db8::1]"', "[2001:db8::1]"),
    ("domain", option_types.tracking_domain(), '"[2001:db8::1]:443"', "[2001:db8::1]:443"),
    ("socket", option_types.milter_socket(), "inet6:8891@::1", "inet6:8891@::1"),
    ("socket", option_types.milter_socket(), '"local:/run/x"', "local:/run/x"),
    ("networks", option_types.network_texts(), '("10.1.2.3/8" ::1)', ("10.0.0.0/8", "::1/128")),
    ("pairs", option_types.pairs(), "[ a = b c = d a = e ]", {"a": "e", "c": "d"}),
    ("patterns", option_types.patterns(), '"^https?://x"', ("^https?://x",)),
    ("patterns", option_types.patterns(), '"[[]a]"', ("[[]a]",)),
    ("listen", option_types.http_listen(), "localhost:80", "localhost:80"),
]


@pytest.mark.parametrize(("name", "kind", "written", "expected"), CASES)
def test_value_is_accepted(name: str, kind: OptionType[Any], written: str, expected: object) -> None:
    assert kind.read(value(written)) == expected, name


REFUSED: list[tuple[str, OptionType[Any], list[str]]] = [
    ("boolean", option_types.boolean(), ["2", '""', "yess", "( true )", "[ ]"]),
    (
        "integer",
        option_types.integer(0, 10),
        ["11", "-1", "1.0", "0xB", "0x", "08", "013", "1k", '" 1"', "9" * 5000, '"\u0661"'],
    ),
    ("choice", option_types.choice("a", "b"), ["c", '""', "( a )"]),
    ("scheme", option_types.scheme(), ["ftp", "http:", "//"]),
    (
        "domain",
        option_types.tracking_domain(),
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
        option_types.milter_socket(),
        ["/run/x", "unix:run/x", "inet:8891", "inet:x@y", "inet:0@y", "tcp:1@y"],
    ),
    ("networks", option_types.networks(), ["example.net", "10.0.0.0/33", '("10.0.0.1" "")', "[ a = b ]"]),
    ("pairs", option_types.pairs(), ["a", "( a )", "[ a = ( b ) ]", '[ a = "x\\ny" ]']),
    ("patterns", option_types.patterns(), ['"("', '"*"', '("a" "[")', '"a{99999999999999}"']),
    ("listen", option_types.http_listen(), ["8080", ":8080", "127.0.0.1", "a.example:99999"]),
    ("nodes", option_types.cassandra_nodes(), ["host", '"host=;port=1"', '"host=a;port=x"']),
]


@pytest.mark.parametrize(
    ("kind", "written"), [(kind, each) for _, kind, refused in REFUSED for each in refused]
)
def test_value_is_refused_with_what_was_expected(kind: OptionType[Any], written: str) -> None:
    with pytest.raises(OptionValueError) as caught:
        kind.read(value(written))
    assert caught.value.expected == kind.expected


def test_relative_path_counts_from_the_folder_of_its_file() -> None:
    assert (
        option_types.path().read(value("policy.py", "/etc/smtpapi/smtpapi.conf")) == "/etc/smtpapi/policy.py"
    )
    assert option_types.path().read(value('"../x"', "/etc/smtpapi/smtpapi.conf")) == "/etc/x"
    assert option_types.path().read(value("/srv/x", "/etc/smtpapi/smtpapi.conf")) == "/srv/x"
    assert option_types.path().read(value('""', "/etc/smtpapi/smtpapi.conf")) == ""


@pytest.mark.parametrize(
    "kind",
    [
        *(option_types.boolean, option_types.cassandra_nodes, option_types.copies, option_types.debug_level),
        *(option_types.header_name, option_types.hosts, option_types.http_listen, option_types.keyspace),
        *(option_types.list_id, option_types.mail_address, option_types.metrics_listen),
        *(option_types.milter_socket, option_types.networks, option_types.pairs, option_types.path),
        *(option_types.patterns, option_types.relays, option_types.scheme),
        *(option_types.second_pass_listener, option_types.tracking_domain),
    ],
)
def test_what_an_error_expects_is_what_the_reference_says(kind: Callable[[], OptionType[Any]]) -> None:
    assert f"* value: {kind().expected}\n" in REFERENCE.read_text("utf-8")
