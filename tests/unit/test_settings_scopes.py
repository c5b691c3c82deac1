"""Which scope wins: every row of contract.md 1.3 against every lower one, and how connections meet scopes."""

from dataclasses import replace
from itertools import combinations

import pytest

from engagement.settings import Settings, Where, load_text
from engagement.settings.schema import SCOPED, TRACKING_OPTIONS
from engagement.settings.scopes import DEFAULT_SCOPE

# Each row of the table sets the expiry to its own number.
ROWS = ("peer in listen", "peer in listener", "listen", "pathway in group", "pathway", "listener", "group")
LABELS = (
    'ESMTP_Listener > Listen "192.0.2.1:25" > Peer "198.51.100.0/24"',
    'ESMTP_Listener > Peer "198.51.100.0/24"',
    'ESMTP_Listener > Listen "192.0.2.1:25"',
    'pathway_group "g" > pathway "p"',
    'pathway "p"',
    "ESMTP_Listener",
    'pathway_group "g"',
)
HERE = Where("192.0.2.1", 25, "198.51.100.7")


def configured(*rows: int) -> Settings:
    """A configuration in which just these rows set the option."""
    lines = [f"tracking_link_expiry = {row}" if row in rows else "" for row in range(len(ROWS))]
    return load_text(f"""
        smtpapi {{ }}
        pathway_group "g" {{ {lines[6]} pathway "p" {{ {lines[3]} }} }}
        pathway "p" {{ {lines[4]} }}
        ESMTP_Listener {{
          {lines[5]}
          pathway = "p"
          Listen "192.0.2.1:25" {{
            {lines[2]}
            Peer "198.51.100.0/24" {{ {lines[0]} }}
          }}
          Peer "198.51.100.0/24" {{ {lines[1]} }}
        }}
    """)


@pytest.mark.parametrize(("higher", "lower"), list(combinations(range(len(ROWS)), 2)))
def test_higher_row_wins_over_each_lower_row(higher: int, lower: int) -> None:
    value = configured(higher, lower).scoped(HERE).value("tracking_link_expiry")
    assert (value.value, value.scope) == (higher, LABELS[higher])


@pytest.mark.parametrize("row", [0, 1, 2, 5])
def test_a_pathway_of_policy_wins_over_every_row_of_the_listener(row: int) -> None:
    settings = configured(row, 4)
    value = settings.scoped(replace(HERE, pathway="p")).value("tracking_link_expiry")
    assert (value.value, value.scope) == (4, 'pathway "p"')


def test_a_pathway_that_nothing_names_stands_below_the_listener() -> None:
    settings = load_text("""
        smtpapi { }
        pathway "default" { tracking_link_expiry = 100  tracking_domain = a.example.net }
        ESMTP_Listener { tracking_link_expiry = 200 }
    """)
    scoped = settings.scoped(HERE)
    assert (scoped.value("tracking_link_expiry").value, scoped.value("tracking_domain").value) == (
        200,
        "a.example.net",
    )


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_each_row_wins_over_the_built_in_default(row: int) -> None:
    value = configured(row).scoped(HERE).value("tracking_link_expiry")
    assert (value.value, value.scope) == (row, LABELS[row])


def test_all_rows_together_give_the_first() -> None:
    assert configured(*range(len(ROWS))).scoped(HERE).value("tracking_link_expiry").value == 0


def test_without_any_row_the_built_in_default_is_given_as_such() -> None:
    value = configured().scoped(HERE).value("tracking_link_expiry")
    assert (value.value, value.scope, value.file, value.line) == (31536000, DEFAULT_SCOPE, "", 0)


def test_empty_configuration_gives_momentums_defaults() -> None:
    scoped = load_text("").scoped(Where())
    assert {name: scoped.value(name).value for name in TRACKING_OPTIONS} == {
        "click_tracking_enabled": False,
        "click_tracking_scheme": "http",
        "open_tracking_enabled": False,
        "open_tracking_scheme": "http",
        "tracking_domain": "localhost:8080",
        "tracking_link_expiry": 31536000,
        "initial_open_tracking_enabled": False,
        "list_unsubscribe_enabled": False,
        "list_unsubscribe_mailto": "",
        "list_id": "",
        "keep_html_days": 0,
    }


def test_each_option_goes_its_own_way() -> None:
    """One scope's silence about an option does not hide a wider scope's word on it."""
    settings = load_text("""
        smtpapi { }
        ESMTP_Listener {
          tracking_domain = t.example.net
          click_tracking_enabled = true
          Listen ":25" { click_tracking_enabled = false  Peer "10.0.0.0/8" { open_tracking_enabled = true } }
        }
    """)
    scoped = settings.scoped(Where("192.0.2.1", 25, "10.1.1.1"))
    assert scoped.value("open_tracking_enabled").value is True
    assert scoped.value("click_tracking_enabled").value is False
    assert scoped.value("tracking_domain").value == "t.example.net"


def test_a_false_in_a_narrow_scope_counts_as_set() -> None:
    settings = load_text(
        "ESMTP_Listener { click_tracking_enabled = true Peer 10.0.0.0/8 { click_tracking_enabled = 0 } }"
    )
    assert settings.scoped(Where("", 25, "10.0.0.1")).value("click_tracking_enabled").value is False


PEERS = """
    ESMTP_Listener {
      Peer "10.0.0.0/8" { tracking_link_expiry = 8 }
      Peer "10.1.0.0/16" { tracking_link_expiry = 16 }
      Peer "10.1.1.1" { tracking_link_expiry = 32 }
      Peer "2001:db8::/32" { tracking_link_expiry = 33 }
      Peer "127.0.0.1" { tracking_link_expiry = 1 }
    }
"""


@pytest.mark.parametrize(
    ("client", "expiry"),
    [
        ("10.9.9.9", 8),
        ("10.1.9.9", 16),
        ("10.1.1.1", 32),
        ("::ffff:10.1.1.1", 32),
        ("IPv6:::ffff:10.1.9.9", 16),
        ("2001:DB8::1", 33),
        ("IPv6:2001:db8::1", 33),
        ("[2001:db8::1]", 33),
        ("2001:db9::1", 31536000),
        ("192.0.2.1", 31536000),
        ("unknown", 31536000),
        ("", 1),
    ],
)
def test_peer_is_the_longest_network_that_holds_the_client(client: str, expiry: int) -> None:
    where = Where("192.0.2.25", 25, client)
    assert load_text(PEERS).scoped(where).value("tracking_link_expiry").value == expiry


def test_wider_peer_is_no_fallback_for_a_narrower_one() -> None:
    settings = load_text("""
        ESMTP_Listener {
          Peer "10.0.0.0/8" { tracking_domain = wide.example.net }
          Peer "10.1.0.0/16" { tracking_link_expiry = 16 }
        }
    """)
    scoped = settings.scoped(Where("", 25, "10.1.1.1"))
    assert scoped.value("tracking_link_expiry").value == 16
    assert scoped.value("tracking_domain").scope == DEFAULT_SCOPE


def test_local_submission_meets_the_listener_and_its_loopback_peer_but_no_listen() -> None:
    settings = load_text("""
        ESMTP_Listener {
          tracking_link_expiry = 4
          Listen ":25" { tracking_link_expiry = 3 }
          Peer "127.0.0.1" { open_tracking_enabled = true }
        }
    """)
    scoped = settings.scoped(Where())
    assert scoped.value("tracking_link_expiry").value == 4
    assert scoped.value("open_tracking_enabled").value is True


def test_without_a_port_from_the_mta_an_exact_listen_does_not_match() -> None:
    settings = load_text("""
        ESMTP_Listener {
          tracking_link_expiry = 4
          Listen "192.0.2.1:25" { tracking_link_expiry = 3 }
        }
    """)
    assert settings.scoped(Where("192.0.2.1", None, "10.0.0.1")).value("tracking_link_expiry").value == 4


def test_without_a_port_from_the_mta_a_wildcard_listen_matches() -> None:
    settings = load_text('ESMTP_Listener { Listen "*:587" { tracking_link_expiry = 3 } }')
    assert settings.scoped(Where("192.0.2.1", None, "10.0.0.1")).value("tracking_link_expiry").value == 3


def test_wildcard_of_ipv6_takes_no_ipv4_connection() -> None:
    settings = load_text('ESMTP_Listener { Listen "[*]:25" { tracking_link_expiry = 3 } }')
    assert settings.scoped(Where("192.0.2.1", 25, "10.0.0.1")).value("tracking_link_expiry").line == 0
    assert settings.scoped(Where("2001:db8::1", 25, "")).value("tracking_link_expiry").value == 3


@pytest.mark.parametrize(
    ("listen", "local", "client"),
    [("0.0.0.0:25", "192.0.2.1", "192.0.2.9"), ("[::]:25", "2001:db8::1", "2001:db8::9")],
)
def test_unspecified_address_is_any_address_and_not_one_that_never_comes(
    listen: str, local: str, client: str
) -> None:
    """As other programs write it, Postfix's `inet_interfaces = 0.0.0.0` among them."""
    settings = load_text(f'ESMTP_Listener {{ Listen "{listen}" {{ tracking_link_expiry = 7 }} }}')
    scoped = settings.scoped(Where(local, 25, client))
    assert scoped.value("tracking_link_expiry").value == 7
    assert settings.scoped(Where(local, 26, client)).value("tracking_link_expiry").value != 7


def test_connection_that_no_listen_takes_still_has_the_listeners_values() -> None:
    settings = load_text(
        'ESMTP_Listener { tracking_link_expiry = 4 Listen ":25" { tracking_link_expiry = 3 } }'
    )
    assert settings.scoped(Where("192.0.2.1", 26, "10.0.0.1")).value("tracking_link_expiry").value == 4


def test_listen_enabled_inside_a_listener_switched_off_is_served() -> None:
    settings = load_text("""
        ESMTP_Listener {
          Enable = false
          tracking_link_expiry = 4
          Listen ":25" { Enable = true }
          Listen ":26" { }
        }
    """)
    assert settings.scoped(Where("", 25, "10.0.0.1")).value("tracking_link_expiry").value == 4
    assert settings.scoped(Where("", 26, "10.0.0.1")).value("tracking_link_expiry").scope == DEFAULT_SCOPE


@pytest.mark.parametrize(
    ("where", "pathway", "expiry"),
    [
        (Where("", 25, "10.0.0.1"), "listen", 3),
        (Where("", 26, "10.0.0.1"), "default", 1),
        (Where("", 25, "10.0.0.1", "policy"), "policy", 2),
        (Where("", 25, "10.0.0.1", "Listen"), "Listen", 31536000),
    ],
)
def test_pathway_is_policys_then_the_options_then_default(where: Where, pathway: str, expiry: int) -> None:
    settings = load_text("""
        ESMTP_Listener { Listen ":25" { pathway = "listen" } }
        pathway "default" { tracking_link_expiry = 1 }
        pathway "policy" { tracking_link_expiry = 2 }
        pathway "listen" { tracking_link_expiry = 3 }
    """)
    scoped = settings.scoped(where)
    assert (scoped.pathway, scoped.value("tracking_link_expiry").value) == (pathway, expiry)


@pytest.mark.parametrize(
    ("text", "trusted"),
    [
        ("", ["127.0.0.0/8", "::1/128"]),
        ("Relay_Hosts = ()", []),
        ('Relay_Hosts = "192.0.2.0/24"', ["192.0.2.0/24"]),
        ('Relay_Hosts = "192.0.2.0/24" ESMTP_Listener { Relay_Hosts = ("10.0.0.1/8") }', ["10.0.0.0/8"]),
        ('ESMTP_Listener { Relay_Hosts = "10.0.0.1" Peer "10.0.0.9" { Relay_Hosts = () } }', []),
        ('pathway "default" { Relay_Hosts = "10.0.0.0/8" }', ["10.0.0.0/8"]),
        ('Relay_Hosts = "10.0.0.0/8" pathway "default" { Relay_Hosts = () }', []),
        ('pathway "other" { Relay_Hosts = "10.0.0.0/8" }', ["127.0.0.0/8", "::1/128"]),
    ],
)
def test_relay_hosts_come_from_the_narrowest_scope_that_sets_them(text: str, trusted: list[str]) -> None:
    scoped = load_text(text).scoped(Where("", 25, "10.0.0.9"))
    assert [str(network) for network in scoped.options.relay_hosts] == trusted


def test_context_and_extensions_are_given_ready_for_use() -> None:
    settings = load_text(
        "ESMTP_Listener { context = [ cust_a = 1 ] SMTP_Extensions = (xsetcontext XCLIENT) }"
    )
    scoped = settings.scoped(Where())
    assert dict(scoped.options.context) == {"cust_a": "1"}
    assert scoped.smtp_extensions == {"XSETCONTEXT", "XCLIENT"}


def test_options_by_attribute_are_the_values_that_are_in_force() -> None:
    scoped = configured(3).scoped(HERE)
    for name in SCOPED:
        assert getattr(scoped.options, name) == scoped.value(name).value


def test_scoped_is_cached_for_each_connection() -> None:
    settings = configured(3)
    assert settings.scoped(HERE) is settings.scoped(Where("192.0.2.1", 25, "198.51.100.7"))


def test_unknown_option_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        load_text("").scoped(Where()).value("no_such_option")


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("", {"localhost:8080"}),
        ("ESMTP_Listener { tracking_domain = T.Example.Net }", {"t.example.net"}),
        (
            "ESMTP_Listener { Listen :25 { tracking_domain = a.example.net } }",
            {"a.example.net", "localhost:8080"},
        ),
        (
            "ESMTP_Listener { tracking_domain = a.example.net } pathway p { tracking_domain = b.example.net}",
            {"a.example.net", "b.example.net"},
        ),
        (
            "ESMTP_Listener { Enable = no tracking_domain = a.example.net }",
            {"a.example.net", "localhost:8080"},
        ),
    ],
)
def test_tracking_domains_are_all_that_links_may_be_made_for(text: str, domains: set[str]) -> None:
    assert load_text(text).tracking_domains() == domains


def test_every_scoped_option_is_given_in_every_scoped() -> None:
    assert set(load_text("").scoped(Where()).values) == set(SCOPED)
