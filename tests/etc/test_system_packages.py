"""`.ci/system` installs what is missing and never removes a package, judged by the real apt and dpkg.

The list of installed packages is one of our own, in which another mail server stands; apt only simulates.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_EXIM = """\
Package: exim4-daemon-light
Status: install ok installed
Priority: optional
Section: mail
Maintainer: nobody <nobody@example.test>
Architecture: amd64
Version: 4.96-15
Provides: mail-transport-agent, default-mta
Conflicts: mail-transport-agent
Replaces: mail-transport-agent
Description: a mail server that somebody uses
"""


@pytest.fixture
def with_exim(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which Exim is installed and Postfix is not."""
    status = Path("/var/lib/dpkg/status").read_text("utf-8")
    servers = re.compile(r"\n*Package: (postfix|exim4.*)\n")
    stanzas = [each for each in status.split("\n\n") if not servers.match(each)]
    admin = tmp_path / "dpkg"
    shutil.copytree("/var/lib/dpkg", admin, ignore=shutil.ignore_patterns("info", "lock*", "triggers"))
    (admin / "info").mkdir()
    (admin / "status").write_text("\n\n".join([_EXIM.strip(), *stanzas]), "utf-8")
    settings = tmp_path / "apt.conf"
    settings.write_text(f'Dir::State::status "{admin}/status";\nAPT::Get::Simulate "true";\n')
    return {**os.environ, "APT_CONFIG": str(settings), "DPKG_ADMINDIR": str(admin), "STORE": ""}


@pytest.mark.parametrize("what", ["run", "test"])
def test_h32_another_mail_server_is_never_removed(what: str, with_exim: dict[str, str]) -> None:
    done = subprocess.run(
        [ROOT / ".ci/system", what], env=with_exim, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^Installing .*postfix.* would remove .*exim4-daemon-light", done.stderr, re.MULTILINE)
    assert "Nothing was changed" in done.stderr
