"""A Debian that was booted for a test (`machine`), and the package that is installed there."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from shell_blocks import script

ROOT = Path(__file__).parents[2]
BASE = ROOT / ".test/debian12"
MACHINE = Path(__file__).with_name("machine")
DEADLINE = 60.0  # seconds for what takes moments, on a busy machine


class Machine:
    """One machine; a context that removes it at the end.

    folder: for its files, new. base: the Debian it is a copy of.
    """

    def __init__(self, folder: Path, base: Path = BASE) -> None:
        assert base.is_dir(), "the bare Debian is not there: .ci/debian makes it"
        self._base = base
        self._folder = folder
        self.root = folder / "root"

    def __enter__(self) -> "Machine":
        self._machine("new", self._base, self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._machine("remove", self._folder)

    def _machine(self, verb: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [MACHINE, verb, *arguments], capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, f"{verb}: {done.stdout}{done.stderr}"

    def start(self) -> None:
        """Start it, or start it again: a reboot."""
        self._machine("start", self._folder)

    def stop(self) -> None:
        """Switch it off."""
        self._machine("stop", self._folder)

    def process(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a program in it, with pipes for what it reads and prints."""
        return subprocess.Popen(
            [MACHINE, "run", self._folder, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def rpm(self, *arguments: str | Path) -> str:
        """Run this host's rpm on its files, as one of its processes; return what it printed."""
        inner = (self._folder / "pid").read_text().strip()
        done = subprocess.run(
            [
                "nsenter", "-t", inner, "-u", "-i", "-n", "-p",
                "rpm", "--root", f"/proc/{inner}/root", *arguments,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, f"rpm {arguments}\nstatus {done.returncode}\n{done.stdout}"
        return done.stdout

    def tried(self, script: str) -> tuple[int, str]:
        """Run a shell script in it; return its status, and what it printed."""
        done = subprocess.run(
            [MACHINE, "run", self._folder, "bash", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=240,
        )  # fmt: skip
        return done.returncode, done.stdout

    def run(self, script: str) -> str:
        """Run a shell script in it, which must succeed; return what it printed."""
        status, printed = self.tried(f"set -e\n{script}")
        assert status == 0, f"{script}\nstatus {status}\n{printed}"
        return printed

    def until(self, script: str, holds: Callable[[str], bool], seconds: float = DEADLINE) -> str:
        """Run a script until what it prints holds; return that."""
        end = time.monotonic() + seconds
        while True:
            printed = self.tried(script)[1]
            if holds(printed):
                return printed
            assert time.monotonic() < end, f"{script}\nstill printed\n{printed}"
            time.sleep(0.2)


def quick_start() -> str:
    """The commands of README's quick start."""
    return script("README.md", "host=")


def vagrant_script(name: str) -> str:
    """A step of the Vagrantfile, as Ruby hands it to the shell."""
    text = (ROOT / "Vagrantfile").read_text("utf-8")
    found = re.search(rf'provision "{name}".*?<<~SHELL\n(.*?)^  SHELL$', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].replace("\\\\", "\\")


# The one step that needs the world outside: a certificate, here from an authority of the test's own that the
# machine trusts.
CERTBOT = r"""
certbot() {
    name=${*: -1} && folder=/etc/letsencrypt/live/$name && mkdir -p "$folder" && (
        cd "$folder"
        openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj "/CN=An authority of this test" \
            -keyout ca.key -out chain.pem
        openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout privkey.pem -out request.pem
        printf 'subjectAltName=DNS:%s\nbasicConstraints=CA:FALSE\n' "$name" >extensions
        openssl x509 -req -in request.pem -CA chain.pem -CAkey ca.key -CAcreateserial -days 60 \
            -extfile extensions -out cert.pem
        cat cert.pem chain.pem >fullchain.pem
        cp chain.pem /usr/local/share/ca-certificates/test.crt && update-ca-certificates
    ) >/dev/null 2>&1
}
"""
CERTIFICATE = "/etc/letsencrypt/live/track.example.com/fullchain.pem"
# A server as it is before: a name in DNS, and a Postfix that delivers the mail of example.com here.
SERVER = """
printf '127.0.0.1 track.example.com\\n' >>/etc/hosts
postconf -e 'virtual_alias_domains = example.com' 'virtual_alias_maps = inline:{ { you@example.com = root } }'
systemctl reload postfix
"""
