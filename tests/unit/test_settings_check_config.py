"""`smtpapi check-config`: what it prints where, and its exit status (contract.md 2.3)."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smtpapi.commands.configuration.check_config import command

GOOD = """
smtpapi { }
ESMTP_Listener {
  tracking_domain = "t.example.net"
  Listen "192.0.2.1:25" {
    click_tracking_enabled = true
    Peer "10.0.0.0/8" { pathway = "news" Relay_Hosts = "10.0.0.0/8" }
  }
  Listen ":587" { Enable = false }
}
pathway "news" { tracking_link_expiry = 60 }
msg_gen { }
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    path.write_text(GOOD)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments])


def test_valid_configuration_is_said_first_and_exits_0(good: Path) -> None:
    result = run(good)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Configuration valid\n\nESMTP_Listener\n")


def test_every_scope_of_the_file_has_its_table(good: Path) -> None:
    titles = [line for line in run(good).stdout.split("\n") if line and not line.startswith(" ")]
    assert titles[1:6] == [
        "ESMTP_Listener",
        'ESMTP_Listener > Listen "192.0.2.1:25"',
        'ESMTP_Listener > Listen "192.0.2.1:25" > Peer "10.0.0.0/8"',
        'ESMTP_Listener > Listen ":587"  (off: Enable = false)',
        'pathway "news"',
    ]


def test_each_value_is_given_with_where_it_comes_from(good: Path) -> None:
    table = run(good).stdout.split("\n\n")[3]
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in table.split("\n")[1:]}
    assert rows["click_tracking_enabled"] == f'true {good}:6 ESMTP_Listener > Listen "192.0.2.1:25"'
    assert rows["tracking_domain"] == f'"t.example.net" {good}:4 ESMTP_Listener'
    assert rows["tracking_link_expiry"] == f'60 {good}:11 pathway "news"'
    assert rows["Relay_Hosts"] == f'("10.0.0.0/8") {good}:7'
    assert rows["open_tracking_enabled"] == "false built-in default"


def test_what_is_ignored_is_listed_at_the_end(good: Path) -> None:
    notice = f"  {good}:12:1: stanza 'msg_gen' has no meaning here and is ignored; "
    assert run(good).stdout.endswith(f"Notices\n{notice}it is about mail that is made over HTTP\n")


def test_one_connection_can_be_asked_for(good: Path) -> None:
    result = run(good, "--local", "192.0.2.1:25", "--client", "10.1.2.3")
    assert result.exit_code == 0
    heading = "Configuration valid\n\nConnection: local 192.0.2.1:25, client 10.1.2.3\n"
    assert result.stdout.startswith(heading)
    assert "milter { }" not in result.stdout
    assert "60 " in result.stdout


def test_a_pathway_of_policy_can_be_asked_for(good: Path) -> None:
    document = json.loads(run(good, "--json", "--pathway", "news").stdout)
    (scope,) = document["scopes"]
    assert scope["pathway"] == "news"
    assert scope["options"]["tracking_link_expiry"]["value"] == 60


def test_a_pathway_in_the_context_is_in_force_for_its_connection(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text(
        'smtpapi { } ESMTP_Listener { tracking_link_expiry = 90 context = [ pathway = "news" ] }\n'
        'pathway "news" { tracking_link_expiry = 60 Relay_Hosts = ( "192.0.2.0/24" ) }'
    )
    document = json.loads(run(path, "--json", "--client", "192.0.2.1").stdout)
    (scope,) = document["scopes"]
    assert (scope["pathway"], scope["options"]["tracking_link_expiry"]["value"]) == ("news", 60)
    assert document["trusted"] is False


def test_a_pathway_that_is_asked_for_and_not_there_is_warned_of(good: Path) -> None:
    assert run("--pathway", "news", good).stderr == ""
    assert run("--pathway", "default", good).stderr == ""
    result = run("--pathway", "nowhere", good)
    expected = "warning: there is no pathway 'nowhere'; a policy that names it names it to no effect\n"
    assert (result.exit_code, result.stderr) == (0, expected)


@pytest.mark.parametrize("arguments", [("--local", "192.0.2.1"), ("--client", "mail.example.net")])
def test_a_connection_that_cannot_be_is_a_usage_error(good: Path, arguments: tuple[str, str]) -> None:
    result = run(good, *arguments)
    assert result.exit_code == 2
    assert "Invalid value" in result.stderr


def test_json_holds_scopes_stanzas_warnings_and_notices_on_one_line(good: Path) -> None:
    result = run(good, "--json")
    (line,) = result.stdout.splitlines()
    document = json.loads(line)
    assert document["valid"] is True
    assert document["active"] is True
    assert document["warnings"] == []
    assert len(document["notices"]) == 1
    assert [scope["served"] for scope in document["scopes"]] == [True, True, True, False, True]
    listen = document["scopes"][1]["options"]
    assert listen["click_tracking_enabled"] == {
        "value": True,
        "scope": 'ESMTP_Listener > Listen "192.0.2.1:25"',
        "file": str(good),
        "line": 6,
    }
    assert listen["open_tracking_enabled"] == {"value": False, "scope": "built-in default"}
    assert document["scopes"][2]["options"]["relay_hosts"]["value"] == ["10.0.0.0/8"]
    assert document["stanzas"]["milter"]["workers"] == {"value": 2, "scope": "built-in default"}
    assert "cassandra_client" not in document["stanzas"]


def test_errors_go_to_standard_error_and_exit_1(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text("tracking_domain = x\nmilter { workers = 0 }\n")
    result = run(path)
    assert (result.exit_code, result.stdout) == (1, "")
    first, second, third, count = result.stderr.splitlines()
    assert first.startswith(f"{path}:1:1: 'tracking_domain' is not a valid scope name in scope 'Global', ")
    assert second == f"Syntax error in {path} at line 1 near 'tracking_domain'"
    assert third == f"{path}:2:20: workers is '0', expected a whole number from 1 to 64"
    assert count == f"{path}: 2 errors"


def test_errors_as_json(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text("milter { workers = 0 }\n")
    result = run(path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "file": str(path),
        "valid": False,
        "errors": [
            {
                "file": str(path),
                "line": 1,
                "column": 20,
                "what": "workers is '0'",
                "expected": "a whole number from 1 to 64",
            }
        ],
    }


def test_no_configuration_exits_2(tmp_path: Path) -> None:
    result = run(tmp_path / "nothing.conf")
    assert result.exit_code == 2
    assert result.stderr == f"No configuration found: {tmp_path / 'nothing.conf'}\n"


def test_several_files_exit_with_the_worst(good: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("}\n")
    missing = tmp_path / "missing.conf"
    assert run(good, good).exit_code == 0
    assert run(good, missing).exit_code == 2
    assert run(missing, broken, good).exit_code == 1
    assert run(broken, missing).exit_code == 1
    assert f"Configuration valid: {good}\n" in run(missing, good).stdout


def test_warnings_go_to_standard_error_and_do_not_change_the_status(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text("smtpapi { }\nESMTP_Listener { open_tracking_enabled = true }\n")
    result = run(path)
    assert result.exit_code == 0
    assert result.stderr.startswith(
        f"warning: {path}:2: ESMTP_Listener tracks with the default tracking_domain"
    )


def test_inactive_configuration_says_so(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text("")
    assert run(path).stdout.startswith("Configuration valid\nNothing is tracked: no smtpapi { } stanza.\n")
    path.write_text("smtpapi { enabled = no }")
    assert "Nothing is tracked: smtpapi { } is off.\n" in run(path).stdout


def test_output_that_is_no_terminal_has_no_colour(good: Path) -> None:
    assert "\x1b" not in run(good).stdout


def test_momentum_base_folder_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "conf" / "node9").mkdir(parents=True)
    (tmp_path / "conf" / "node9" / "extra.conf").write_text("smtpapi { }\n")
    main = tmp_path / "smtpapi.conf"
    main.write_text('include "extra.conf"\n')
    assert run(main).exit_code == 1
    assert run(main, "--base", tmp_path / "conf", "--node", "node9").exit_code == 0


def test_files_that_the_configuration_names_and_that_cannot_be_used_are_warned_of(tmp_path: Path) -> None:
    """Found before a reload, not by it."""
    policy = tmp_path / "policy.py"
    policy.write_text("def validate_dat(msg, ac, vctx): ...\n")
    path = tmp_path / "smtpapi.conf"
    path.write_text(
        f'keys {{ ring = "{tmp_path}/none" }}\npolicy {{ file = "{policy}" }}\n'
        f'tracker {{ assetlinks = "{tmp_path}/no.json" }}\n'
    )
    result = run(path)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"warning: {path}:1: ring: {tmp_path}/none: no such file; make a ring with "
        f"`smtpapi keys init --ring {tmp_path}/none`",
        f"warning: {path}:2: file: {policy}:1: no hook is named validate_dat; did you mean validate_data?",
        f"warning: {path}:3: assetlinks: {tmp_path}/no.json: No such file or directory",
    ]
    assert len(json.loads(run("--json", path).stdout)["warnings"]) == 3


PEERS = """
smtpapi { }
Relay_Hosts = ("192.0.2.0/28")
Unheard_Of = 1
ESMTP_Listener {
  tracking_domain = "t.example.net"
  Peer "198.51.100.0/24" { Open_Relay = true }
}
"""


@pytest.mark.parametrize(
    ("client", "message", "trusted"),
    [
        ("192.0.2.1", "The client 192.0.2.1 is trusted by Relay_Hosts (FILE:3)", True),
        ("198.51.100.7", "The client 198.51.100.7 is trusted by Open_Relay (FILE:7)", True),
        ("203.0.113.1", "The client 203.0.113.1 is not trusted", False),
    ],
)
def test_a_client_is_said_to_be_trusted_or_not(
    tmp_path: Path, client: str, message: str, trusted: bool
) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text(PEERS)
    assert message.replace("FILE", str(path)) in run(path, "--client", client).stdout
    assert json.loads(run(path, "--client", client, "--json").stdout)["trusted"] is trusted


def test_what_is_ignored_is_listed_for_one_connection_too(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text(PEERS)
    notice = f"\nNotices\n  {path}:4:1: option 'Unheard_Of' has no meaning here and is ignored\n"
    assert notice in run(path).stdout
    assert notice in run(path, "--local", ":25").stdout


def test_rules_and_their_database_that_cannot_be_used_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "05-site.toml").write_text("version = 3\n[[rule]]\nnome = 1\n")
    (tmp_path / "as.mmdb").write_text("nonsense")
    path = tmp_path / "smtpapi.conf"
    path.write_text(f'classify {{ rules = "{tmp_path}/rules" as_database = "{tmp_path}/as.mmdb" }}\n')
    output = run(path).stderr
    assert f"warning: {path}:1: rules: {tmp_path}/rules/05-site.toml:3: 'nome' is no key of a rule" in output
    assert f"warning: {path}:1: as_database: {tmp_path}/as.mmdb: " in output
    (tmp_path / "rules" / "05-site.toml").write_text("version = 3\n")
    path.write_text(f'classify {{ rules = "{tmp_path}/rules" as_database = "{tmp_path}/none" }}\n')
    output = run(path).stderr
    assert "rules: " not in output
    assert f"as_database: {tmp_path}/none: No such file" in output
