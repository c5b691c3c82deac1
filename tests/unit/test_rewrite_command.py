"""`smtpapi rewrite` on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smtpapi.commands import main

MAIL = b'From: a@example.com\nContent-Type: text/html\n\n<a href="https://www.example.com/">x</a>\n'


def run(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["rewrite", *map(str, arguments)], input=given)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    ring = tmp_path / "ring"
    assert CliRunner().invoke(main, ["keys", "init", "--ring", str(ring)]).exit_code == 0
    path = tmp_path / "smtpapi.conf"
    path.write_text(
        "smtpapi { }\n"
        'ESMTP_Listener { click_tracking_enabled = true tracking_domain = "t.example.net" }\n'
        f'keys {{ ring = "{ring}" }}\n'
    )
    return path


def test_standard_input_to_standard_output(config: Path) -> None:
    result = run("--config", config, given=MAIL)
    assert result.exit_code == 0
    assert b'<a href="http://t.example.net/f/a/' in result.stdout_bytes
    assert b"\r" not in result.stdout_bytes


def test_without_configuration_it_says_what_the_links_are_worth() -> None:
    result = run(given=MAIL)
    assert result.exit_code == 0
    assert b"http://localhost:8080/f/a/" in result.stdout_bytes
    assert "thrown away" in result.stderr


def test_folders_keep_their_paths_and_each_message_has_its_line(config: Path, tmp_path: Path) -> None:
    source = tmp_path / "in" / "deep"
    source.mkdir(parents=True)
    (source / "b.eml").write_bytes(MAIL)
    (tmp_path / "in" / "a.eml").write_bytes(MAIL.replace(b"\n", b"\r\n"))
    report = tmp_path / "report.jsonl"
    result = run("--config", config, "--output-dir", tmp_path / "out", "--report", report, tmp_path / "in")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(line["file"], line["action"]) for line in lines] == [
        ("a.eml", "rewritten"),
        ("deep/b.eml", "rewritten"),
    ]
    out = (tmp_path / "out" / "a.eml").read_bytes()
    assert out.count(b"\n") == out.count(b"\r\n")
    assert b"t.example.net" in (tmp_path / "out" / "deep" / "b.eml").read_bytes()


def test_untrusted_mail_passes(config: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.eml"
    source.write_bytes(b'X-MSYS-API: {"a": 1}\n' + MAIL)
    result = run("--config", config, "--untrusted", source)
    assert (result.exit_code, result.stdout_bytes) == (0, source.read_bytes())


def test_null_sender_is_a_bounce(config: Path) -> None:
    result = run("--config", config, "--sender", "", "--report", "-", given=MAIL)
    assert (result.exit_code, result.stdout_bytes) == (0, MAIL)
    assert json.loads(result.stderr)["reason"] == "null-sender"


@pytest.mark.parametrize(
    "arguments",
    [["no-such-file.eml"], ["--config", "no-such.conf"], ["--no-such-option"], [__file__, __file__]],
)
def test_usage_and_configuration_errors_exit_with_2(arguments: list[str]) -> None:
    result = run(*arguments, given=MAIL)
    assert result.exit_code == 2
    assert result.stderr


def test_missing_ring_is_said(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text(f'smtpapi {{ }}\nkeys {{ ring = "{tmp_path}/none" }}\n')
    result = run("--config", path, given=MAIL)
    assert result.exit_code == 2
    assert str(tmp_path / "none") in result.stderr


def test_empty_folder_is_no_error(config: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    result = run(
        "--config", config, "--output-dir", tmp_path / "out", "--report", tmp_path / "r", tmp_path / "in"
    )
    assert result.exit_code == 0
    assert (tmp_path / "r").read_text() == ""


@pytest.mark.parametrize("command", ["rewrite", "preview"])
def test_the_options_of_a_listen_hold_for_mail_that_came_in_there(
    command: str, config: Path, tmp_path: Path
) -> None:
    text = config.read_text()
    listen = 'ESMTP_Listener { Listen "127.0.0.2:8650" { tracking_domain = "inner.example.net" }'
    config.write_text(text.replace("ESMTP_Listener {", listen))
    mail = tmp_path / "a.eml"
    mail.write_bytes(MAIL)

    def domain(*arguments: str) -> str:
        made = CliRunner().invoke(main, [command, "--config", str(config), *arguments, str(mail)])
        assert made.exit_code == 0, made.output
        return made.stdout.partition("/f/a/")[0].rpartition("http://")[2]

    assert domain() == "t.example.net"
    assert domain("--listen", "127.0.0.2:8650") == "inner.example.net"
    assert domain("--listen", "127.0.0.2:2525") == "t.example.net"


def test_a_listen_that_cannot_be_read_is_wrong_usage(config: Path) -> None:
    result = run("--config", config, "--listen", "8650", given=MAIL)
    assert result.exit_code == 2
    assert "ADDRESS:PORT" in result.stderr
