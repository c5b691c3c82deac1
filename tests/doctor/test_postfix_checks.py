"""Checks of Postfix's configuration, each mistake in main.cf or master.cf as postconf(1) reads it."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from doctor.reading import complete, only
from engagement.settings import Settings, Where, load_text
from smtpapi.commands import main
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.mta import hop, order, trust
from smtpapi.setup import postfix_config

pytestmark = pytest.mark.mta

_OURS = "unix:smtpapi/milter.sock"
_MASTER = "smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\nsmtp unix - - y - - smtp\n"
_SPLIT = 'rewriting { several_recipients = split split_listener = "127.0.0.1:10026" }'


def _settings(more: str = "") -> Settings:
    return load_text(
        f'smtpapi {{ }}\nESMTP_Listener {{ tracking_domain = "t.example.test" Listen ":25" {{ }} }}\n{more}'
    )


def _config(folder: Path, main_cf: str, master_cf: str = _MASTER) -> postfix_config.PostfixConfig:
    for name, text in (("main.cf", main_cf), ("master.cf", master_cf)):
        (folder / name).write_text(text)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))  # Postfix waits for files that just changed
    return postfix_config.read(folder)


def _milters(folder: Path, main_cf: str, master_cf: str = _MASTER, more: str = "") -> list[Finding]:
    return complete(order.check(_config(folder, main_cf, master_cf), _settings(more)))


def test_a_good_list(tmp_path: Path) -> None:
    found = _milters(
        tmp_path, f"smtpd_milters = {_OURS} inet:localhost:8891\nnon_smtpd_milters = $smtpd_milters\n"
    )
    assert [each.level for each in found] == [Level.OK]


@pytest.mark.parametrize(
    ("main_cf", "more", "says", "level"),
    [
        ("smtpd_milters = inet:localhost:8891\n", "", "no smtpd of", Level.ERROR),
        (f"smtpd_milters = {_OURS}\nreceive_override_options = no_milters\n", "", "no smtpd of", Level.ERROR),
        (
            f"smtpd_milters = inet:localhost:8891 {_OURS}\n",
            "",
            "asks inet:localhost:8891, which signs",
            Level.ERROR,
        ),
        (
            f"smtpd_milters = unix:opendkim/o.sock, {{ {_OURS} }}\n",
            "",
            "unix:opendkim/o.sock, which",
            Level.ERROR,
        ),
        (
            f"smtpd_milters = {{ {_OURS}, default_action=accept }}\n",
            "",
            "default_action=accept, with",
            Level.ERROR,
        ),
        (
            f"smtpd_milters = {_OURS}\nmilter_default_action = accept\n",
            "",
            "default_action=accept, with",
            Level.ERROR,
        ),
        (
            f"smtpd_milters = {_OURS}\nmail_release_date = 20261001\nmilter_default_action = accept\n",
            "",
            "default_action=accept",
            Level.WARNING,
        ),
        (
            f"smtpd_milters = {{ {_OURS}, default_action=quarantine }}\n",
            "",
            "default_action=quarantine",
            Level.WARNING,
        ),
        (
            "smtpd_milters = inet:127.0.0.1:9900\n",
            'milter { socket = "inet:9900@127.0.0.1" }',
            "the filter's socket is inet:9900@127.0.0.1",
            Level.WARNING,
        ),
    ],
)
def test_each_mistake_in_lists_of_milters(
    tmp_path: Path, main_cf: str, more: str, says: str, level: Level
) -> None:
    (finding,) = only(_milters(tmp_path, main_cf, more=more))
    assert (finding.level, says in finding.what) == (level, True), finding


def test_mail_of_sendmail_without_the_filter(tmp_path: Path) -> None:
    (finding,) = only(_milters(tmp_path, f"smtpd_milters = {_OURS}\n"), Level.NOTE)
    assert "non_smtpd_milters" in finding.what


@pytest.fixture
def wired(tmp_path: Path) -> tuple[Path, Settings]:
    """A folder with the hop, made by setup."""
    folder = tmp_path / "postfix"
    folder.mkdir()
    _config(folder, "compatibility_level = 3.6\n")
    config = tmp_path / "smtpapi.conf"
    config.write_text(f'smtpapi {{ }}\nESMTP_Listener {{ Listen ":25" {{ }} }}\n{_SPLIT}\n')
    arguments = ["--config", str(config), "--postfix", str(folder), "--state", f"{tmp_path}/k", "--no-reload"]
    assert CliRunner().invoke(main, ["setup", "postfix", *arguments, "--apply"]).exit_code == 0
    return folder, _settings(_SPLIT)


def _hop(folder: Path, settings: Settings, *edits: tuple[str, str, str]) -> list[Finding]:
    for name, before, after in edits:
        text = (folder / name).read_text()
        assert before in text, (name, before)
        (folder / name).write_text(text.replace(before, after))
    for name in ("main.cf", "master.cf"):
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    config = postfix_config.read(folder)
    return complete(hop.check(config, settings, hop.header_maps(config)))


def test_a_hop_that_setup_made_is_well(wired: tuple[Path, Settings]) -> None:
    assert [each.level for each in _hop(*wired)] == [Level.OK]


def test_bindings_may_be_read_where_copies_are_taken_in(wired: tuple[Path, Settings]) -> None:
    folder = wired[0]
    (folder / "bindings").write_text("/^X-Binding: b1$/ FILTER out-b1:\n")
    none = "-o milter_header_checks="
    found = _hop(*wired, ("master.cf", none, f"{none}regexp:{folder}/bindings"))
    assert [each.level for each in found] == [Level.OK]
    (folder / "bindings").write_text("/^X-Smtpapi-Split:/ FILTER split:[127.0.0.1]:10026\n")
    assert [each.level for each in only(_hop(*wired))] == [Level.ERROR]


_MISTAKES = {
    "no listener": (
        [("master.cf", "127.0.0.1:10026 inet", "127.0.0.1:10027 inet")],
        "has no smtpd on that port",
    ),
    "open to all": ([("master.cf", "127.0.0.1:10026 inet", "10026 inet")], "not on loopback alone"),
    "not asked": (
        [("master.cf", "smtpd_milters=$smtpapi_hop_milters", "smtpd_milters=")],
        "does not ask the filter",
    ),
    "mapped twice": ([("master.cf", "no_address_mappings,", "")], "maps addresses a second time"),
    "no DSN": (
        [("master.cf", "smtpd_discard_ehlo_keywords=", "smtpd_discard_ehlo_keywords=dsn")],
        "does not offer DSN",
    ),
    "round again": (
        [("master.cf", "-o milter_header_checks=", "-o syslog_facility=mail")],
        "looks at milter_header_checks",
    ),
    "no map": ([("main.cf", "smtpapi_hop\n", "nowhere\n")], "which is empty or cannot be read"),
    "other port": ([("smtpapi_hop", ":10026", ":10027")], "leads to split:[127.0.0.1]:10026"),
    "no transport": ([("master.cf", "split      unix", "splat      unix")], "no transport `split`"),
    "not split": (
        [("main.cf", "split_destination_recipient_limit = 1", "split_destination_recipient_limit = 50")],
        "split_destination_recipient_limit is not 1",
    ),
    "lines cut": (
        [("master.cf", "-o smtp_line_length_limit=0", "-o smtp_line_length_limit=998")],
        "cuts lines over",
    ),
    "long queue": (
        [("main.cf", "compatibility_level = 3.6", "maximal_queue_lifetime = 3w")],
        "a mark is good for ten days",
    ),
}


@pytest.mark.parametrize(("edits", "says"), _MISTAKES.values(), ids=_MISTAKES)
def test_each_end_of_the_hop(
    wired: tuple[Path, Settings], edits: list[tuple[str, str, str]], says: str
) -> None:
    found = only(_hop(*wired, *edits))
    assert [finding for finding in found if says in finding.what], found


def test_size_limit_of_cleanup(wired: tuple[Path, Settings]) -> None:
    (finding,) = only(
        _hop(*wired, ("master.cf", "cleanup\n    -o message_size_limit=0", "cleanup")), Level.NOTE
    )
    assert "message_size_limit" in finding.what


@pytest.mark.parametrize(
    ("mode", "main_cf", "level"),
    [
        ("untracked", "", Level.NOTE),
        ("defer", "", Level.NOTE),
        ("defer", "content_filter = smtp:[127.0.0.1]:10024\n", Level.WARNING),
        ("readdress", "", Level.ERROR),
    ],
)
def test_modes_without_a_hop(tmp_path: Path, mode: str, main_cf: str, level: Level) -> None:
    config = _config(tmp_path, main_cf)
    settings = _settings(f"rewriting {{ several_recipients = {mode} }}")
    (finding,) = complete(hop.check(config, settings, {}))
    assert finding.level is level


def test_a_hop_in_postfix_alone(wired: tuple[Path, Settings]) -> None:
    (finding,) = only(_hop(wired[0], _settings()))
    assert "several_recipients = untracked" in finding.what
    assert 'split_listener = "127.0.0.1:10026"' in finding.change


def _trust(folder: Path, main_cf: str, master_cf: str = _MASTER, more: str = "") -> list[Finding]:
    settings = _settings(more)
    config = _config(folder, main_cf, master_cf)
    hosts = settings.scoped(Where(client_address="127.0.0.1")).relay_hosts
    tables = hop.header_maps(config, "header_checks")
    return complete(
        (*trust.check_relay_hosts(settings), *trust.check_postfix(config, settings, hosts, tables))
    )


_OWN = "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\n"  # as Debian writes it


def test_nothing_to_say_of_a_plain_site(tmp_path: Path) -> None:
    assert _trust(tmp_path, f"{_OWN}smtpd_milters = {_OURS}\n") == []


@pytest.mark.parametrize(
    ("hosts", "level"),
    [
        ('"0.0.0.0/0"', Level.ERROR),
        ('"::/0"', Level.ERROR),
        ('"8.0.0.0/8"', Level.WARNING),
        ('"10.0.0.0/8"', None),
    ],
)
def test_relay_hosts_that_hold_strangers(hosts: str, level: Level | None) -> None:
    found = complete(trust.check_relay_hosts(_settings(f"Relay_Hosts = ( {hosts} )")))
    assert [each.level for each in found] == ([] if level is None else [level])


def test_received_fields_that_are_taken_out(tmp_path: Path) -> None:
    table = tmp_path / "checks"
    table.write_text("# /^Received:/ IGNORE\n/^Received: .*internal/i  IGNORE\n")
    (finding,) = only(_trust(tmp_path, f"{_OWN}header_checks = regexp:{table}\n"))
    assert (finding.level, "takes Received fields out" in finding.what) == (Level.ERROR, True)
    table.write_text("/^X-Received-By:/ WARN\n# /^Received:/ IGNORE\n")
    assert only(_trust(tmp_path, f"{_OWN}header_checks = regexp:{table}\n")) == []


def test_a_content_filter_that_hands_mail_in_again(tmp_path: Path) -> None:
    text = f"{_OWN}smtpd_milters = {_OURS}\ncontent_filter = smtp:[127.0.0.1]:10024\n"
    door = "127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n"
    (finding,) = _trust(tmp_path, text, _MASTER + door)
    assert (finding.level, "hand strangers' mail in again at 127.0.0.1:10025" in finding.what) == (
        Level.NOTE,
        True,
    )
    assert _trust(tmp_path, text, f"{_MASTER}{door}  -o smtpd_milters=\n") == []


def test_a_content_filter_on_another_host_must_be_in_relay_hosts(tmp_path: Path) -> None:
    text = f"{_OWN}content_filter = smtp:[10.1.2.3]:10024\n"
    (finding,) = _trust(tmp_path, text)
    assert (finding.level, '"10.1.2.3"' in finding.change) == (Level.WARNING, True)
    assert _trust(tmp_path, text, more='Relay_Hosts = ("127.0.0.0/8" "10.1.2.3/32")') == []


def test_pipes_and_networks_that_are_not_named(tmp_path: Path) -> None:
    text = f"mynetworks = 127.0.0.0/8 [::ffff:10.9.0.0]/112\nnon_smtpd_milters = {_OURS}\n"
    found = _trust(
        tmp_path, text, f"{_MASTER}vacation unix - n n - - pipe flags=R user=nobody argv=/bin/true\n"
    )
    assert ["pipes (vacation)" in found[0].what, "10.9.0.0/16" in found[1].what] == [True, True]
    assert only(found) == []


def test_a_proxy_filter_whose_mail_no_milter_sees(tmp_path: Path) -> None:
    master = _MASTER.replace("smtpd\n", "smtpd\n  -o smtpd_proxy_filter=127.0.0.1:10024\n", 1)
    (finding,) = _trust(tmp_path, f"{_OWN}smtpd_milters = {_OURS}\n", master)
    assert (finding.level, "smtpd_proxy_filter" in finding.what) == (Level.ERROR, True)
