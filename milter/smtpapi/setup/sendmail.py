"""Sendmail's sendmail.mc with etc/sendmail/smtpapi.mc included, before filters that sign."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from engagement.settings import Settings
from smtpapi.setup import samples

_MC: Final = "smtpapi.mc"
_BEGIN: Final = "dnl smtpapi setup: from here\n"
_END: Final = "dnl smtpapi setup: to here\n"
_MAILER: Final = re.compile(r"^MAILER\(.*$", re.MULTILINE)
_SIGNER: Final = re.compile(
    r"^INPUT_MAIL_FILTER\(`?[^)]*(?:dkim|openarc|rspamd|amavis)[^)]*\).*\n?", re.MULTILINE | re.IGNORECASE
)
_ORDER: Final = re.compile(r"^define\(`(?:conf)?INPUT_MAIL_FILTERS'.*$", re.MULTILINE)


class Unfit(Exception):
    """The file cannot be changed by a program. The text says why and what to do by hand."""


def changed(folder: Path, settings: Settings, programs: Path = Path("/")) -> dict[Path, bytes]:
    """Return the files that setup changes: sendmail.mc and smtpapi.mc in Sendmail's folder.

    programs: below which Sendmail is installed. Raises Unfit, OSError.
    """
    source = folder / "sendmail.mc"
    raw = source.read_bytes()
    after = with_ours(raw.decode("utf-8", "surrogateescape"), source, folder / _MC, settings)
    sample = samples.text(_MC).encode()
    files = {source: after.encode("utf-8", "surrogateescape"), folder / _MC: sample}
    files = {path: new for path, new in files.items() if not path.exists() or path.read_bytes() != new}
    if source in files:
        _check(after, sample.decode(), folder / _MC, programs)
    return files


def with_ours(text: str, source: Path, mc: Path, settings: Settings) -> str:
    """Return a sendmail.mc with our lines behind its last MAILER, signers behind them. Raises Unfit."""
    socket, port = settings.milter.socket, settings.rewriting.split_listener.rpartition(":")[2]
    where = socket.replace("unix:", "local:", 1)
    lines = [f"define(`SMTPAPI_SOCKET', `{where}')dnl", f"define(`SMTPAPI_PORT', `{port or 10025}')dnl"]
    block = _BEGIN + "\n".join([*lines, f"include(`{mc}')dnl"]) + "\n"
    start, end = text.find(_BEGIN), text.find(_END)
    behind = ""
    if start >= 0 and end > start:
        behind = _lines(_SIGNER.findall(text[start:end]))
        text = text[:start] + text[end + len(_END) :]
    elif "smtpapi.mc" in text:
        raise Unfit(f"{source} includes smtpapi.mc already, by lines that setup did not write: nothing to do")
    if (order := _ORDER.search(text)) is not None:
        raise Unfit(
            f"{source}: `{order.group().strip()}` names the filters and their order: put smtpapi before "
            "those "
            f"that sign there, and `include(`{mc}')dnl` behind the last MAILER line"
        )
    mailers = list(_MAILER.finditer(text))
    if not mailers:
        raise Unfit(f"{source} has no MAILER line, behind which smtpapi.mc belongs: is it Sendmail's file?")
    at = mailers[-1].end() + 1
    signers = _lines(_SIGNER.findall(text[:at])) + behind
    head = _SIGNER.sub("", text[:at])
    head = head if head.endswith("\n") else head + "\n"
    return head + block + signers + _END + text[at:]


def _lines(found: list[str]) -> str:
    return "".join(each.rstrip("\n") + "\n" for each in found)


def _check(text: str, sample: str, mc: Path, programs: Path) -> None:
    """Let m4 make a sendmail.cf of the new text.

    Raises Unfit where it does not, or the filter is not in it.
    """
    m4 = shutil.which("m4")
    if m4 is None:
        return
    with tempfile.TemporaryDirectory(prefix="smtpapi-setup-") as name:
        beside = Path(name) / _MC
        beside.write_text(sample, "utf-8")
        tried = text.replace(f"include(`{mc}')", f"include(`{beside}')")
        command = [m4, f"-D_CF_DIR_={programs / 'usr/share/sendmail/cf'}/", "-"]
        done = subprocess.run(  # noqa: S603 - m4 of the search path
            command,
            input=tried.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
            timeout=60,
        )
    if done.returncode != 0 or b"\nXsmtpapi" not in done.stdout:
        complaint = done.stderr.decode("utf-8", "replace").strip()
        raise Unfit(f"m4 makes no sendmail.cf with the filter of it: {complaint or 'no line Xsmtpapi'}")
