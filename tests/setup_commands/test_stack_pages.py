"""What docs/stacks/ says for Postfix in containers, put in as those stacks do it, and read by postconf(1)."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from mta.site_parts import need_postfix

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.mta
_FILTER = (
    "{ inet:smtpapi:%d, connect_timeout=5s, command_timeout=10s, content_timeout=60s, "
    "default_action=tempfail }"
)


def block(page: str, number: int = 0) -> str:
    text = (ROOT / "docs/stacks" / page).read_text("utf-8")
    found = re.findall(r"^ *```text\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)[number]
    return re.sub(r"(?m)^ +(?=\S+ = )", "", found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    need_postfix()
    (tmp_path / "master.cf").write_text("smtp inet n - n - - smtpd\n")
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    return tmp_path


def shell(folder: Path, script: str) -> str:
    for path in folder.iterdir():  # Postfix waits for files that just changed
        os.utime(path, (1_700_000_000, 1_700_000_000))
    done = subprocess.run(
        ["sh", "-ec", script], capture_output=True, text=True, check=False,
        env=os.environ | {"MAIL_CONFIG": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_mailcow_appends_extra_cf_to_main_cf(folder: Path) -> None:
    with (folder / "main.cf").open("a") as file:
        file.write("smtpd_milters = inet:rspamd:9900\nnon_smtpd_milters = inet:rspamd:9900\n")
        file.write(block("mailcow.md"))
    for name in ("smtpd_milters", "non_smtpd_milters"):
        assert shell(folder, f"postconf -xh {name}") == f"{_FILTER % 8891} inet:rspamd:9900"


def test_docker_mailserver_runs_user_patches(folder: Path) -> None:
    """Once or twice, over what its start has put into the lists."""
    shell(folder, "postconf 'smtpd_milters = $dkim_milter' 'dkim_milter = inet:localhost:8891'")
    script = block("docker-mailserver.md").partition("\n")[2]
    for _ in range(2):
        shell(folder, script)
        assert shell(folder, "postconf -xh smtpd_milters") == f"{_FILTER % 8892} inet:localhost:8891"
        assert shell(folder, "postconf -xh non_smtpd_milters") == _FILTER % 8892


def test_mailu_gives_each_line_to_postconf_by_a_shell(folder: Path) -> None:
    for line in block("mailu.md").strip().splitlines():
        shell(folder, f'postconf -e "{line.strip()}"')
    assert shell(folder, "postconf -xh smtpd_milters") == f"{_FILTER % 8891} inet:antispam:11332"
