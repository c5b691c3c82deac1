"""`make run`, from the start to Ctrl-C, as its user sees it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.make_run import MakeRun as _Run
from mta.mta_site import free_port, open_folders, until

pytestmark = pytest.mark.mta

_ROOT = Path(__file__).parents[2]
_SMTPAPI = Path(sys.executable).with_name("smtpapi")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _location(url: str) -> str:
    request = urllib.request.Request(
        url, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
    )
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(_NoRedirect).open(request, timeout=10)
    location = answer.value.headers["Location"]
    answer.value.close()
    assert answer.value.code == 302
    return str(location)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Run]:
    folder = tmp_path_factory.mktemp("run")
    open_folders(folder)
    running = _Run(folder / "run", free_port(), free_port())
    try:
        running.until("Events as they come")
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def test_the_sample_is_shown_with_its_links_before_and_after(run: _Run) -> None:
    text = run.text()
    delivered = re.search(r"delivered to\n  (\S+)\n", text)
    assert delivered is not None
    assert Path(delivered[1]).parent == run.folder / "maildir" / "new"
    assert b"X-MSYS-API" not in Path(delivered[1]).read_bytes()
    assert "https://lighthouse.example/walks/#dunes  [walks]" in text
    assert f"-> http://localhost:{run.http}/f/a/" in text


def test_a_click_lands_exactly_and_shows_in_the_terminal_and_in_the_store(run: _Run) -> None:
    link = re.search(r"curl -sI '([^']+)'", run.text())
    assert link is not None
    target = (
        "https://lighthouse.example/visit?utm_source=letter&utm_medium=email&utm_campaign=lamp-is-lit&seat=2"
    )
    assert _location(link[1]) == target
    began = time.monotonic()
    run.until(f"campaign=lamp-is-lit  link=Raw URL {target}", 10)
    assert time.monotonic() - began < 5
    assert re.search(r"\d\d:\d\d:\d\d  injection +friend@example\.test", run.text())
    done = subprocess.run(
        [str(_SMTPAPI), "events", "--config", str(run.folder / "etc" / "smtpapi.conf"), "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert '"type": "click"' in done.stdout


def test_ones_own_mail_is_delivered_tracked(run: _Run, tmp_path: Path) -> None:
    file = tmp_path / "own.eml"
    file.write_bytes(b"Subject: own\nContent-Type: text/plain\n\nSee https://own.example/page now.\n")
    done = subprocess.run(
        [str(_SMTPAPI), "send", "--server", f"127.0.0.1:{run.smtp}", "--to", "own@any.test", str(file)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("250 ")

    def mine() -> list[Path]:
        return [f for f in (run.folder / "maildir" / "new").iterdir() if b"own@any.test" in f.read_bytes()]

    until(mine, what="the delivery")
    url = re.search(rb"http://localhost:\d+/f/a/[\w-]+", mine()[0].read_bytes())
    assert url is not None
    assert _location(url[0].decode()) == "https://own.example/page"


def test_what_became_of_mail_is_shown_within_two_seconds_of_postfixs_line(run: _Run, tmp_path: Path) -> None:
    file = tmp_path / "outcome.eml"
    file.write_bytes(b"Subject: outcome\nContent-Type: text/plain\n\nSee https://own.example/page now.\n")
    events = [str(_SMTPAPI), "events", "--config", str(run.folder / "etc" / "smtpapi.conf"), "--json"]
    for name, kind, status in (
        ("arrives", "delivery", "sent"),
        ("bounce", "bounce", "bounced"),
        ("defer", "delay", "deferred"),
    ):
        recipient = f"{name}@example.test"
        assert f"--to {recipient}" in run.text() or name == "arrives"
        subprocess.run(
            [str(_SMTPAPI), "send", "--server", f"127.0.0.1:{run.smtp}", "--to", recipient, str(file)],
            check=True,
        )
        log = run.folder / "log" / "postfix.log"
        line = re.compile(rf"to=<{recipient}>, relay=(?!127).* status={status} ")
        until(lambda: line.search(log.read_text()), 20, recipient)  # noqa: B023 - called within this turn
        began = time.monotonic()
        run.until(f"{kind:16}  {recipient}", 10)
        assert time.monotonic() - began < 2
        done = subprocess.run(
            [*events, "--type", kind, "--recipient", recipient], capture_output=True, text=True, check=True
        )
        (event,) = map(json.loads, done.stdout.splitlines())
        assert (event["rcpt_to"], event["subject"]) == (recipient, "outcome")
    assert event["reason"] == "temporary failure. Command output: mailbox full"


def test_a_second_one_is_told_where_the_first_is(run: _Run) -> None:
    environment = dict(os.environ, RUN_DIR=str(run.folder), PORT_SMTP=str(run.smtp), PORT_HTTP=str(run.http))
    done = subprocess.run(
        [sys.executable, "-m", "demo.run"],
        cwd=_ROOT, env=environment, capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"make run: already running in {run.folder} (process {run.process.pid}): ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["PORT_SMTP", "PORT_HTTP", "PORT_HOP", "PORT_WEB"])
def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = {each: str(free_port()) for each in ("PORT_SMTP", "PORT_HTTP", "PORT_HOP", "PORT_WEB")}
        ports[name] = str(port)
        done = subprocess.run(
            [sys.executable, "-m", "demo.run"], cwd=_ROOT, capture_output=True, text=True, check=False,
            env=dict(os.environ, RUN_DIR=str(tmp_path / "run"), **ports), timeout=20,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"make run: port {port} is in use by another program (`ss -ltnp sport = :{port}` names it): "
        f"stop that, or choose another port with `make run {name}={port + 1}`\n"
    )


def test_a_part_that_dies_is_named_with_its_last_words_and_everything_stops(tmp_path: Path) -> None:
    open_folders(tmp_path)
    run = _Run(tmp_path / "run", free_port(), free_port())
    run.until("Events as they come")
    shipper = next(
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"ship\0" in (line := path.read_bytes()) and str(run.folder).encode() in line
    )
    os.kill(shipper, signal.SIGKILL)
    assert run.process.wait(30) == 1
    assert "make run: the shipper ended (status -9)" in run.text()
    assert not run.processes()


def test_it_starts_again_after_a_kill_and_stops_without_leaving_anything(tmp_path: Path) -> None:
    """Also below a folder only root may enter, as /root is."""
    tmp_path.chmod(0o700)
    ports = free_port(), free_port()
    killed = _Run(tmp_path / "run", *ports)
    killed.until("Events as they come")
    killed.process.kill()
    killed.process.wait()
    until(lambda: not [line for line in killed.processes() if "smtpapi" in line], 15, "the parts' end")
    began = time.monotonic()
    again = _Run(tmp_path / "run", *ports)
    again.until("Events as they come")
    assert time.monotonic() - began < 30  # seven programs, on a machine that may be busy
    assert again.end(signal.SIGTERM) == 0
    assert again.text().endswith("stopped\n")
    assert not again.processes()
