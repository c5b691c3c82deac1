"""Debian's rspamd and dkimpy-milter as signers, with keys of `opendkim.Keys`. Not a test."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mta.mta_site import until
from mta.opendkim import Keys

_REPOSITORY: Final = Path(__file__).parents[2]
_ROOT: Final = _REPOSITORY / ".test/signers"
_SECONDS: Final = 120  # rspamd compiles 9,628 suffixes of domains when it starts

_RSPAMD: Final = """\
.include "$CONFDIR/common.conf"
options {
  pidfile = "$RUNDIR/rspamd.pid";
  .include "$CONFDIR/options.inc"
  dns { nameserver = ["127.0.0.1:1"]; timeout = 100ms; retransmits = 1; }
  control_socket = "$DBDIR/control.sock mode=0600";
}
logging { type = "file"; filename = "$LOGDIR/rspamd.log"; .include "$CONFDIR/logging.inc" }
worker "rspamd_proxy" {
  bind_socket = "%s mode=0666"; milter = yes; timeout = 60s; count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
"""


def unpacked() -> None:
    """Have the two programs there."""
    subprocess.run([_REPOSITORY / ".ci/signers"], check=True, timeout=600)


def _key(folder: Path, keys: Keys) -> Path:
    key = folder / "signer.pem"
    key.write_bytes(keys.make("site", "sender.test"))
    return key


@contextmanager
def _running(command: list[str], socket: Path, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=out)
    try:
        until(lambda: socket.exists() or process.poll() is not None, _SECONDS, command[0])
        assert process.poll() is None, log.read_text()
        socket.chmod(0o666)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@contextmanager
def rspamd(folder: Path, keys: Keys, socket: Path, headers: str = "") -> Iterator[None]:
    """Sign by rspamd with its own configuration. headers: sign_headers, "" for its default."""
    place = folder / "rspamd"
    (place / "local.d").mkdir(parents=True)
    key = _key(place, keys)
    own = f'path = "{key}";\nselector = "site";\nsign_local = true;\n'
    own += f'sign_headers = "{headers}";\n' if headers else ""
    (place / "local.d/dkim_signing.conf").write_text(own)
    (place / "rspamd.conf").write_text(_RSPAMD % socket)
    share, libraries = _ROOT / "usr/share/rspamd", _ROOT / "usr/lib"
    names = {
        "CONFDIR": _ROOT / "etc/rspamd",
        "LOCAL_CONFDIR": place,
        "SHAREDIR": share,
        "WWWDIR": place,
        **dict.fromkeys(("DBDIR", "RUNDIR", "LOGDIR"), place),
        "RULESDIR": share / "rules",
        "PLUGINSDIR": share / "plugins",
        "LUALIBDIR": share / "lualib",
    }
    command = [str(_ROOT / "usr/bin/rspamd"), "-f", "-i", "-c", str(place / "rspamd.conf")]
    command += [f"--var={name}={path}" for name, path in names.items()]
    found = f"{libraries}/rspamd:{libraries}/x86_64-linux-gnu:{_ROOT}/lib/x86_64-linux-gnu"
    with _running(command, socket, {"LD_LIBRARY_PATH": found}, place / "out"):
        yield


@contextmanager
def dkimpy_milter(folder: Path, keys: Keys, socket: Path, headers: str = "") -> Iterator[None]:
    """Sign by dkimpy-milter. headers: SignHeaders, "" for its default."""
    place = folder / "dkimpy-milter"
    place.mkdir()
    config = place / "dkimpy-milter.conf"
    config.write_text(
        f"Socket local:{socket}\nDomain sender.test\nSelector site\nKeyFile {_key(place, keys)}\nMode s\n"
        f"Canonicalization relaxed/simple\nUMask 0000\nSyslog no\nUserID root\nPidFile {place}/pid\n"
        f"InternalHosts 127.0.0.1\nMacroList daemon_name|smtpd\n"
        + (f"SignHeaders {headers}\n" if headers else "")
    )
    command = ["/usr/bin/python3", str(_ROOT / "usr/bin/dkimpy-milter"), str(config)]
    environment = {"PYTHONPATH": str(_ROOT / "usr/lib/python3/dist-packages"), "VIRTUAL_ENV": ""}
    with _running(command, socket, environment, place / "out"):
        yield
