"""Warnings and notices: what is valid and should still be told (contract.md 1.1, 1.3 to 1.5)."""

import pytest

from engagement.settings import SettingsError, load_text

ON = "smtpapi { }\n"


@pytest.mark.parametrize("expiry", [0, -1])
def test_expiry_that_never_records_is_warned_of(expiry: int) -> None:
    settings = load_text(f"{ON}ESMTP_Listener {{ tracking_link_expiry = {expiry} }}")
    assert settings.warnings == (
        f"<text>:2: tracking_link_expiry = {expiry}: no click or open is ever recorded",
    )


def test_shortest_real_expiry_is_not_warned_of() -> None:
    assert load_text(f"{ON}ESMTP_Listener {{ tracking_link_expiry = 60 }}").warnings == ()


@pytest.mark.parametrize("seconds", [1, 30, 59])
def test_an_expiry_that_looks_like_minutes_or_days_is_warned_of(seconds: int) -> None:
    assert load_text(f"{ON}ESMTP_Listener {{ tracking_link_expiry = {seconds} }}").warnings == (
        f"<text>:2: tracking_link_expiry = {seconds}: links are over before most mail is read; "
        "it is in seconds",
    )
    text = f"ESMTP_Listener {{ context = [ smtpapi_tracking_link_expiry = {seconds} ] }}"
    (warning,) = load_text(f"{ON}{text}").warnings
    assert "smtpapi_tracking_link_expiry = " in warning


@pytest.mark.parametrize(
    "scope",
    ["{}", "Listen :25 {{ {} }}", "Peer 192.0.2.1 {{ {} }}", "Listen :25 {{ Peer 192.0.2.1 {{ {} }} }}"],
)
def test_a_pathway_that_is_not_there_is_warned_of(scope: str) -> None:
    inner = scope.format("pathway = nowhere") if scope != "{}" else "pathway = nowhere"
    text = f"{ON}ESMTP_Listener {{ {inner} }} pathway Nowhere {{ }}"
    (warning,) = load_text(text).warnings
    assert "there is no pathway 'nowhere'" in warning
    assert load_text(text.replace("Nowhere", "nowhere")).warnings == ()
    assert load_text(text.replace("= nowhere", "= default")).warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "ESMTP_Listener { click_tracking_enabled = true Enable = false }",
        "ESMTP_Listener { Listen :25 { click_tracking_enabled = true Enable = false } }",
        "ESMTP_Listener { Enable = no Listen :25 { Peer 10.0.0.1 { click_tracking_enabled = true } } }",
        "ESMTP_Listener { click_tracking_enabled = true context = [ smtpapi_tracking_domain = a.example ] }",
        "ESMTP_Listener { click_tracking_enabled = false }",
        "ESMTP_Listener { open_tracking_enabled = on pathway = p } pathway p { tracking_domain = a.example }",
    ],
)
def test_default_domain_is_not_warned_of_where_nobody_gets_it(text: str) -> None:
    settings = load_text(ON + text)
    assert not [warning for warning in settings.warnings if warning.startswith("<text>:2: ESMTP_Listener")]


def test_default_domain_is_warned_of_once_for_each_switch() -> None:
    settings = load_text(
        ON + "ESMTP_Listener {\nclick_tracking_enabled = true\nListen :25 { }\nListen :26 { Peer ::1 { } }\n}"
    )
    (warning,) = settings.warnings
    assert warning.startswith(
        "<text>:3: ESMTP_Listener tracks with the default tracking_domain localhost:8080"
    )


def test_default_domain_of_a_peer_in_a_listen_considers_the_listeners_wider_peer() -> None:
    settings = load_text(
        ON
        + """ESMTP_Listener {
               Listen ":25" { Peer "10.1.0.0/16" { click_tracking_enabled = true } }
               Peer "10.0.0.0/8" { tracking_domain = a.example }
             }"""
    )
    assert settings.warnings == ()


def test_without_the_stanza_only_one_warning_is_given() -> None:
    settings = load_text("ESMTP_Listener {\ntracking_domain = a.example\nopen_tracking_enabled = true\n}")
    (warning,) = settings.warnings
    assert warning.startswith("<text>:3: open_tracking_enabled has no effect: there is no smtpapi { } stanza")


def test_without_the_stanza_and_without_options_there_is_nothing_to_warn_of() -> None:
    assert load_text('ESMTP_Listener { Listen ":25" { } }').warnings == ()


def test_listen_of_another_listener_may_hold_tracking_options() -> None:
    """The six options are valid in every listen scope; in those of other servers they would be lost."""
    text = 'HTTP_Listener { Listen ":2081" { click_tracking_enabled = true } }'
    with pytest.raises(SettingsError, match="'click_tracking_enabled' is about mail of HTTP_Listener"):
        load_text(text)
    settings = load_text(f"{text} momentum {{ ignore = http_listener }}")
    assert settings.notices == (
        "<text>:1:1: stanza 'HTTP_Listener': its Listen alone is read, as the tracker's address",
        "<text>:1:34: 'click_tracking_enabled' is about mail of HTTP_Listener, which does not come by here; "
        "ignored, as momentum { ignore } says",
        "<text>:1: the tracker listens on 0.0.0.0:2081, as HTTP_Listener says",
    )


def test_msg_gen_has_options_of_the_same_names_and_they_count_for_nothing() -> None:
    settings = load_text("msg_gen { click_tracking_enabled = true node a { open_tracking_enabled = true } }")
    assert settings.warnings == ()


def test_other_stanzas_may_not_hold_tracking_options() -> None:
    with pytest.raises(SettingsError, match="'tracking_domain' is not a valid scope name in scope 'binding'"):
        load_text("binding a { tracking_domain = a.example }")


def test_what_means_nothing_here_is_told_once_however_often_it_stands() -> None:
    settings = load_text("Domain a { } DOMAIN b { }\nretries = 1 Retries = 2 ESMTP_Listener { retries = 1 }")
    assert settings.notices == (
        "<text>:1:1: stanza 'Domain' has no meaning here and is ignored",
        "<text>:2:1: option 'retries' has no meaning here and is ignored",
        "<text>:2:42: option 'retries' in ESMTP_Listener has no meaning here and is ignored",
    )


def test_cassandra_contact_points_are_kept() -> None:
    settings = load_text('cassandra_client { uri = ( "host=a.example;port=9042" "name=c;host=192.0.2.1" ) }')
    assert settings.cassandra_client is not None
    assert settings.cassandra_client.uri == ("host=a.example;port=9042", "name=c;host=192.0.2.1")
    assert settings.notices == (
        "<text>:1: cassandra_client is read and kept; it is used with engine = cassandra in store { }",
        "<text>:1: port 9042 of Cassandra is taken where 9160 or none is given",
    )
