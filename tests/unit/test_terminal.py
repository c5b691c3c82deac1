"""What commands show on a real terminal, of other people's words (row H9 of docs/known-faults.md)."""

import csv
import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engagement import terminal
from engagement.links.keys import SECRET_SIZE, Ring
from engagement.links.model import Identity, Kind, Link
from engagement.links.ring_file import save_ring
from engagement.links.token import copy_sealer
from smtpapi.commands.data.events import cell, line

SMTPAPI = str(Path(sys.executable).with_name("smtpapi"))
# Titles and clipboards (OSC, as ESC and as C1), colours, a cleared screen, a bell, names that run backwards.
EVIL = "a\x1b]0;title\x07b\x9b31mc\x1b[2Jd\x1b[8me\x9d52;c;AAAA\x9cf\x7fg\u202ehi\u2066j\u2028k\x08l\x00m"
_STYLE = re.compile(rb"\x1b\[(?:0|1|2|22|3[0-7])m")
_BIDI = ("\u202e", "\u2066", "\u2028", "\u061c", "\u200f")


def on_a_terminal(*arguments: str, text: bytes = b"") -> bytes:
    """What a command writes to a terminal, as the terminal gets it."""
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [SMTPAPI, *arguments], stdin=subprocess.PIPE, stdout=its, stderr=its,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:surrogateescape", "TERM": "xterm"},
    )  # fmt: skip
    os.close(its)
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    shown = b""
    try:
        while chunk := os.read(mine, 65536):
            shown += chunk
    except OSError:  # the other end is closed
        pass
    os.close(mine)
    process.wait(30)
    return shown


def is_harmless(shown: bytes) -> bool:
    """Nothing is left for the terminal but text and this program's own styles."""
    text = _STYLE.sub(b"", shown).decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    return all(sign == "\n" or sign == "\t" or sign.isprintable() for sign in text)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    save_ring(tmp_path / "keys", Ring().rotated(bytes(SECRET_SIZE), 1))
    path = tmp_path / "c.conf"
    path.write_text(
        f"""smtpapi {{ }} keys {{ ring = "{tmp_path}/keys" }}
        ESMTP_Listener {{ click_tracking_enabled = true open_tracking_enabled = true
          tracking_domain = "t.example.net" }}"""
    )
    return path


def _mail() -> bytes:
    name = EVIL.encode().replace(b"\0", b"")
    return (
        b"From: " + name + b" <a@b.example>\nSubject: " + name
        + b"\nContent-Type: text/html; charset=utf-8\n\n"
        b'<a href="https://x.example/" data-msys-linkname="' + name + b'">x</a>'
        b'<a href="https://x.example/' + name + b'">y</a><a href="ftp://' + name + b'">z</a>\n'
    )  # fmt: skip


def test_h9_preview_shows_names_subjects_and_addresses_as_text(config: Path, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(_mail())
    shown = on_a_terminal("preview", "--config", str(config), str(tmp_path / "m.eml"))
    assert b"title" in shown
    assert b"x.example" in shown
    assert is_harmless(shown), shown


def test_h9_rewrite_to_a_terminal_shows_text(config: Path) -> None:
    shown = on_a_terminal("rewrite", "--config", str(config), text=_mail())
    assert b"title" in shown
    assert is_harmless(shown), shown


def test_h9_decode_shows_what_a_link_holds_as_json(config: Path) -> None:
    sealer = copy_sealer(Ring().rotated(bytes(SECRET_SIZE), 1).signing, Identity(bytes(16), 1, EVIL, 1, 2))
    token = sealer.seal(Kind.CLICK, Link(b"https://x.example/", EVIL[:60]))
    shown = on_a_terminal("decode", "--config", str(config), f"/f/a/{token.decode()}")
    assert b"title" in shown
    assert is_harmless(shown), shown


def test_h9_keys_and_check_config_show_notes_values_and_errors_as_text(config: Path, tmp_path: Path) -> None:
    evil = EVIL.replace("\x00", "").replace("\u2028", "")
    for arguments in (("keys", "list", "--config"), ("check-config",), ("check-config", "--json")):
        assert is_harmless(on_a_terminal(*arguments, str(config))), arguments
    broken = tmp_path / f"x{evil.replace('/', '')}.conf"
    broken.write_text(f'smtpapi {{ }} keys {{ ring = "{tmp_path}/keys" }}\nmilter {{ {evil} = "{evil}" }}\n')
    for arguments in (
        ("check-config",),
        ("check-config", "--json"),
        ("events", "--config"),
        ("milter", "--config"),
    ):
        shown = on_a_terminal(*arguments, str(broken))
        assert b"title" in shown, arguments
        assert is_harmless(shown), (arguments, shown)


def test_h9_errors_of_the_command_line_itself_are_text(tmp_path: Path) -> None:
    evil = EVIL.replace("\x00", "")
    for arguments in (
        ["rewrite", evil],
        ["preview", evil],
        [evil],
        ["events", "--type", evil],
        ["rewrite", "--x" + evil],
    ):
        shown = on_a_terminal(*arguments)
        assert shown, arguments
        assert is_harmless(shown), (arguments, shown)


def test_h9_one_function_makes_one_line_of_text() -> None:
    shown = terminal.printable(EVIL + "\r\n\t\xa0ö\U0001f600")
    assert shown.isprintable()
    assert shown.endswith(" ö\U0001f600")
    assert not [sign for sign in _BIDI if sign in terminal.lines("".join(_BIDI) + "\nx")]
    assert terminal.lines("a\r\nb\n") == "a\nb\n"
    assert "\x7f" not in terminal.json_line({"a": "\x7f\x9b"})


def test_h9_events_lines_use_it() -> None:
    event = {
        "timestamp": "2026-11-01T00:00:00.000Z",
        "type": "injection",
        "raw_rcpt_to": EVIL,
        "subject": EVIL,
    }
    assert line(event).isprintable()


def test_h9_a_guard_lets_styles_and_progress_through_and_nothing_else() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    guarded = terminal.guarded(shown)
    assert terminal.guarded(guarded) is guarded
    guarded.write("\r\x1b[?25l\x1b[1mok\x1b[0m\r\n\x1b[?25h")
    guarded.writelines(["\x1b[2Jx", "\x1b]0;t\x07", "y\rz"])
    shown.seek(0)
    assert shown.getvalue().startswith("\r\x1b[?25l\x1b[1mok\x1b[0m\r\n\x1b[?25h")
    assert is_harmless(shown.getvalue().encode().partition(b"?25h")[2])
    assert guarded.isatty()
    assert terminal.guarded(io.StringIO()) is not None
    file = io.StringIO()
    assert terminal.guarded(file) is file


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_h9_no_cell_of_csv_is_a_formula(sign: str) -> None:
    written = io.StringIO()
    csv.writer(written).writerow([cell(f"{sign}cmd|' /C calc'!A0")])
    ((read,),) = csv.reader(io.StringIO(written.getvalue(), newline=""))
    assert read[0] == "'"
