"""Root runs no policy that others can write, or name (row H9 of docs/known-faults.md)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engagement.links.keys import SECRET_SIZE, Ring
from engagement.links.ring_file import save_ring
from smtpapi.policy import files as policies
from smtpapi.policy import hooks
from smtpapi.policy.ownership import weakness

SMTPAPI = str(Path(sys.executable).with_name("smtpapi"))
NOBODY = 65534


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A site's folder, as root made it; running the policy makes the file "ran"."""
    if os.geteuid() != 0:
        pytest.fail("root is what this is about: run `make test` as root")
    folder = tmp_path / "etc"
    (folder / "policy.d").mkdir(parents=True)
    policy = folder / "policy.d/policy.py"
    policy.write_text(f'open("{tmp_path}/ran", "w").close()\ndef validate_data(msg, ac, vctx): pass\n')
    save_ring(folder / "keys", Ring().rotated(bytes(SECRET_SIZE), 1))
    (folder / "smtpapi.conf").write_text(
        f"""smtpapi {{ }} policy {{ file = "{policy}" }} keys {{ ring = "{folder}/keys" }}
        milter {{ socket = "unix:{tmp_path}/m.sock" user = "nobody" }}
        spool {{ directory = "{tmp_path}/spool" }}
        ESMTP_Listener {{ click_tracking_enabled = true tracking_domain = "t.example.net" }}"""
    )
    return folder


def _link(etc: Path) -> None:
    """Somebody else's symbolic link on the way."""
    (etc / "policy.d").rename(etc / "real.d")
    (etc / "policy.d").symlink_to(etc / "real.d")
    os.chown(etc / "policy.d", NOBODY, NOBODY, follow_symlinks=False)


def _folder_behind_a_link(etc: Path) -> None:
    (etc / "policy.d").rename(etc / "real.d")
    (etc / "policy.d").symlink_to(etc / "real.d")
    (etc / "real.d").chmod(0o777)


CASES: dict[str, Callable[[Path], object]] = {
    "file-for-all": lambda etc: (etc / "policy.d/policy.py").chmod(0o666),
    "file-for-a-group": lambda etc: (
        os.chown(etc / "policy.d/policy.py", 0, NOBODY),
        (etc / "policy.d/policy.py").chmod(0o664),
    ),
    "file-of-another": lambda etc: os.chown(etc / "policy.d/policy.py", NOBODY, 0),
    "folder-for-all": lambda etc: (etc / "policy.d").chmod(0o777),
    "folder-of-another": lambda etc: os.chown(etc / "policy.d", NOBODY, 0),
    "folder-above": lambda etc: os.chown(etc, NOBODY, 0),
    "configuration-for-all": lambda etc: (etc / "smtpapi.conf").chmod(0o666),
    "configuration-of-another": lambda etc: os.chown(etc / "smtpapi.conf", NOBODY, 0),
    "link-of-another": _link,
    "folder-behind-a-link": _folder_behind_a_link,
}


def _commands(etc: Path) -> list[list[str]]:
    config = str(etc / "smtpapi.conf")
    (etc.parent / "m.eml").write_text("Subject: x\n\nhttps://x.example/\n")
    mail = str(etc.parent / "m.eml")
    return [
        ["milter", "--config", config],
        ["check-config", config],
        ["rewrite", "--config", config, mail],
        ["preview", "--config", config, mail],
    ]


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SMTPAPI, *command], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("case", CASES)
def test_h9_root_runs_no_policy_that_others_can_write(etc: Path, case: str) -> None:
    CASES[case](etc)
    with pytest.raises(hooks.PolicyError, match=r"policy is not run as root, since .*: (chown|chmod)"):
        policies.load(etc / "policy.d/policy.py", named_in=(etc / "smtpapi.conf",))
    assert not (etc.parent / "ran").exists()


@pytest.mark.parametrize("number", range(4), ids=["milter", "check-config", "rewrite", "preview"])
def test_h9_no_command_runs_it(etc: Path, number: int) -> None:
    (etc / "policy.d").chmod(0o777)
    command = _commands(etc)[number]
    done = _run(command)
    assert "policy is not run as root" in done.stderr, done.stderr
    assert not (etc.parent / "ran").exists()
    assert (done.returncode != 0) == (command[0] != "check-config")


def test_h9_what_only_root_can_write_is_run(etc: Path) -> None:
    """Also below a folder like /tmp, and with a link of root's own."""
    (etc / "real.d").symlink_to(etc / "policy.d")
    assert weakness(etc / "real.d/policy.py") is None
    (etc.parent / "sticky").mkdir()
    (etc.parent / "sticky").chmod(0o1777)
    etc.rename(etc.parent / "sticky/etc")
    etc = etc.parent / "sticky/etc"
    assert weakness(etc / "policy.d/policy.py") is None
    assert policies.load(etc / "policy.d/policy.py").hooks == {"validate_data"}


def test_h9_who_is_not_root_runs_their_own(etc: Path) -> None:
    """Nothing is gained by it: they could as well run the file."""
    (etc / "policy.d/policy.py").write_text("def validate_data(msg, ac, vctx): pass\n")
    (etc / "policy.d/policy.py").chmod(0o666)
    code = f"import os; os.setuid({NOBODY}); from smtpapi.policy import files; from pathlib import Path; "
    code += f"print(files.load(Path('{etc}/policy.d/policy.py')).hooks)"
    for above in etc.parents:
        if not above.stat().st_mode & 0o001:
            above.chmod(above.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert "validate_data" in done.stdout, done.stderr
