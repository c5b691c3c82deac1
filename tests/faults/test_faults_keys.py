"""A key ring that is missing, broken or open to all: said at the start, survived while running."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from milter_client import MilterClient
from mta.mta_site import Filter, open_folders, until

_MAIL = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"


def _tracked(site: Filter) -> bool:
    client = MilterClient(site.socket)
    client.connect()
    answer = client.message(b"a@s.test", [b"b@r.test"], _MAIL)
    client.quit()
    assert answer.verdict == "accept"
    return bool(site.links(answer.body))


def _missing(ring: Path) -> None:
    ring.unlink()


def _broken(ring: Path) -> None:
    ring.write_text("no keys\n")


def _open_to_all(ring: Path) -> None:
    ring.chmod(0o644)


_FAULTS = {"missing": _missing, "broken": _broken, "open to all": _open_to_all}


@pytest.mark.parametrize("fault", _FAULTS)
def test_the_filter_does_not_start_and_says_what_to_do(tmp_path: Path, fault: str) -> None:
    site = Filter(tmp_path)
    _FAULTS[fault](tmp_path / "keys")
    done = subprocess.run(
        [*site._program, "milter", "--config", str(site.config)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"smtpapi milter: {tmp_path}/keys:")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("fault", _FAULTS)
def test_the_keys_read_before_stay_in_use(tmp_path: Path, fault: str) -> None:
    with Filter(tmp_path, workers=2) as site:
        assert _tracked(site)
        _FAULTS[fault](tmp_path / "keys")
        until(lambda: _tracked(site) and f"{tmp_path}/keys" in site.log_text(), 10, "the complaint")
        assert all(_tracked(site) for _ in range(5))
        site.hup()
        until(lambda: "Reconfigure failed." in site.log_text(), 10, "the refusal")
        assert _tracked(site)


def test_a_ring_that_only_root_may_read(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "root is needed, to become another user: run `make test` as root"
    open_folders(tmp_path)
    site = Filter(tmp_path / "f", milter='user = "nobody"')
    nobody = pwd.getpwnam("nobody")
    for path in (site.folder, site.spool):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    done = subprocess.run(
        [*site._program, "milter", "--config", str(site.config)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{site.folder}/keys: " in done.stderr
    assert "Traceback" not in done.stderr
