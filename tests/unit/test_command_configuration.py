"""Every command goes by the configuration that SMTPAPI_CONFIG names, as docs and services do."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from engagement.links.keys import Ring
from engagement.links.ring_file import save_ring

SMTPAPI = Path(sys.executable).with_name("smtpapi")
MAIL = b"From: a@example.com\r\nContent-Type: text/html\r\n\r\n<a href='https://shop.example/'>x</a>\r\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    save_ring(tmp_path / "keys", Ring(()).rotated(b"k" * 32, 1))
    (tmp_path / "one.conf").write_text(
        f'smtpapi {{ }}\nkeys {{ ring = "{tmp_path}/keys" }}\n'
        'ESMTP_Listener { click_tracking_enabled = true tracking_domain = "named.example.test" }\n'
    )
    (tmp_path / "mail.eml").write_bytes(MAIL)
    return {**os.environ, "SMTPAPI_CONFIG": str(tmp_path / "one.conf")}


@pytest.mark.parametrize("arguments", [["check-config"], ["preview", "mail.eml"], ["rewrite", "mail.eml"]])
def test_h19_configuration_of_the_environment_is_taken(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [SMTPAPI, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, "named.example.test" in done.stdout) == (0, True), done.stdout + done.stderr
    assert "no --config" not in done.stderr


def _folder(tmp_path: Path, count: int) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.eml").write_bytes(MAIL if number else MAIL.replace(b"<a", b"<b"))
    return folder


def test_h19_rewriting_a_folder_ends_with_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [SMTPAPI, "rewrite", "--output-dir", "out", _folder(tmp_path, 4)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("smtpapi rewrite: 4 messages in ")
    assert done.stderr.endswith(": 3 tracked, 1 no-link\n")


def test_h19_rewriting_a_folder_shows_its_progress_on_a_terminal(
    environment: dict[str, str], tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [SMTPAPI, "rewrite", "--output-dir", "out", _folder(tmp_path, 20)],
        cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, timeout=30,
    )  # fmt: skip
    os.close(theirs)
    output = b""
    try:
        while piece := os.read(ours, 4096):
            output += piece
    except OSError:  # Linux says so at the end of a terminal
        pass
    os.close(ours)
    assert done.returncode == 0
    assert b"100%" in output
    assert b"20 messages in " in output
