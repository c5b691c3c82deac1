"""`smtpapi links`: what is stopped or pointed elsewhere is so within seconds, and after a restart."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from engagement.links.model import Kind
from engagement.links.stops import Stops, StopsError, edit, load
from web.servers import TIMEOUT, Site, fetch, make_site, running
from web.web_cases import TARGET, identity, token

URL = TARGET.decode()
SMTPAPI = Path(sys.executable).with_name("smtpapi")


def _site(tmp_path: Path) -> Site:
    return make_site(tmp_path, tracker=f'stop_list = "{tmp_path}/stopped.json" sender = "Example Ltd."')


def _links(site: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(SMTPAPI), "links", arguments[0], "--config", str(site.config), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def _comes(site: Site, path: str, status: int, seconds: float = 5.0) -> float:
    """Ask until the status comes; how long it took."""
    began = time.monotonic()
    while (answer := fetch(site.port, path)).status != status:
        assert time.monotonic() - began < seconds, answer
        time.sleep(0.1)
    return time.monotonic() - began


@pytest.mark.parametrize("sort", ["--target", "--campaign", "--message", "transmission"])
def test_h10_a_stopped_link_is_gone_within_five_seconds_and_after_a_restart(
    tmp_path: Path, sort: str
) -> None:
    who = identity()
    which = {
        "--target": ("--target", URL),
        "--campaign": ("--campaign", who.campaign),
        "--message": ("--message", who.message_id.hex()),
        "transmission": ("--message", str(who.transmission_id)),
    }[sort]
    site, link = _site(tmp_path), f"/f/a/{token()}"
    with running(site):
        assert fetch(site.port, link).status == 302
        assert _links(site, "stop", *which, "--sender", "Blue <b> & Co.").returncode == 0
        _comes(site, link, 410)
        gone = fetch(site.port, link)
        assert b"Blue &lt;b&gt; &amp; Co. has switched off the link" in gone.body
        assert "location" not in gone.headers
        assert fetch(site.port, f"/q/{token(Kind.OPEN)}").status == 200
        kinds = [hit.kind for hit in site.hits()]
        assert kinds.count(Kind.OPEN) == 1
        assert kinds.count(Kind.CLICK) >= 3, "they are counted"
    with running(site):
        assert fetch(site.port, link).status == 410
        assert _links(site, "allow", *which).returncode == 0
        _comes(site, link, 302)


def test_h10_a_link_that_was_sent_wrong_is_pointed_elsewhere(tmp_path: Path) -> None:
    site, link = _site(tmp_path), f"/f/a/{token()}"
    with running(site):
        assert _links(site, "point", "--target", URL, "--to", "javascript:alert(1)").returncode == 2
        assert _links(site, "point", "--target", URL, "--to", "https://right.example/x?y=1").returncode == 0
        end = time.monotonic() + TIMEOUT
        while fetch(site.port, link).headers["location"] != "https://right.example/x?y=1":
            assert time.monotonic() < end
            time.sleep(0.1)
        other = token(target=b"https://other.example/")
        assert fetch(site.port, f"/f/a/{other}").headers["location"] == "https://other.example/"
        assert "pointed" in _links(site, "list").stdout


def test_h10_a_broken_or_missing_list_stops_what_it_stopped(tmp_path: Path) -> None:
    site, link = _site(tmp_path), f"/f/a/{token()}"
    assert _links(site, "stop", "--target", URL).returncode == 0
    with running(site):
        assert b"Example Ltd." in fetch(site.port, link).body
        (tmp_path / "stopped.json").write_text("{}")
        time.sleep(1.5)
        assert fetch(site.port, link).status == 410
        (tmp_path / "stopped.json").unlink()
        time.sleep(1.5)
        assert fetch(site.port, link).status == 410


def test_h10_a_list_is_replaced_as_a_whole_and_read_as_text_alone(tmp_path: Path) -> None:
    path = tmp_path / "stopped.json"
    assert load(path) == Stops()
    edit(path, lambda stops: Stops(targets={URL: "x"}))
    before = path.stat().st_ino
    edit(path, lambda stops: Stops(targets={**stops.targets, "https://b.example/": ""}))
    assert path.stat().st_ino != before
    assert load(path).targets == {URL: "x", "https://b.example/": ""}
    path.write_text('{"version": 1, "points": {"https://a.example/": "http:///nowhere"}}')
    with pytest.raises(StopsError, match="cannot be a link's target"):
        load(path)
    path.write_text('{"version": 2}')
    with pytest.raises(StopsError, match="its version is 2, this program knows 1"):
        load(path)


def test_h10_a_tracker_started_while_the_list_is_broken_or_missing_stops_what_it_stopped(
    tmp_path: Path,
) -> None:
    """Whoever was stopped stays so: of a list that cannot be read the copy of the last good one counts."""
    site, link, path = _site(tmp_path), f"/f/a/{token()}", tmp_path / "stopped.json"
    assert _links(site, "stop", "--target", URL).returncode == 0
    good = path.read_bytes()
    for broken in (b"{}", b"", b"\xff\xfe", good[: len(good) // 2], None):
        path.unlink(missing_ok=True)
        if broken is not None:
            path.write_bytes(broken)
        (tmp_path / "log").write_bytes(b"")
        with running(site):
            assert fetch(site.port, link).status == 410, broken
        assert "stopped links: " in (tmp_path / "log").read_text(), broken


def test_h10_a_further_stop_after_the_list_was_lost_forgets_nothing(tmp_path: Path) -> None:
    site, path = _site(tmp_path), tmp_path / "stopped.json"
    assert _links(site, "stop", "--target", URL).returncode == 0
    path.unlink()
    assert _links(site, "stop", "--campaign", "other").returncode == 0
    assert set(load(path).targets) == {URL}
    path.write_text("{}")
    refused = _links(site, "stop", "--campaign", "third")
    assert (refused.returncode, "stopped.json.last" in refused.stderr) == (1, True)
    assert _links(site, "allow", "--target", URL).returncode == 1


def test_h10_what_was_allowed_again_stays_so_when_the_list_is_lost(tmp_path: Path) -> None:
    site, link, path = _site(tmp_path), f"/f/a/{token()}", tmp_path / "stopped.json"
    assert _links(site, "stop", "--target", URL).returncode == 0
    assert _links(site, "allow", "--target", URL).returncode == 0
    path.unlink()
    with running(site):
        assert fetch(site.port, link).status == 302


def test_h10_without_any_list_ever_nothing_is_stopped_and_nothing_said(tmp_path: Path) -> None:
    site = _site(tmp_path)
    with running(site):
        assert fetch(site.port, f"/f/a/{token()}").status == 302
    assert "stopped links" not in (tmp_path / "log").read_text()
