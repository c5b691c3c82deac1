"""The tracker as its users run it: over sockets, under three servers, and killed under load."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engagement.links.model import Kind
from tracker_web.links.responses import front_page
from web.servers import (
    Site,
    environment,
    fetch,
    fetch_json,
    flask_run,
    gunicorn,
    kill_all,
    make_site,
    own,
    parse,
    raw,
    running,
    wait_for_port,
    web,
    wire,
)
from web.web_cases import HOST, NOW, UNKNOWN, Case, cases, token

SERVERS = {"own": own, "gunicorn": gunicorn, "flask-run": flask_run}


@pytest.fixture(scope="module", params=list(SERVERS.values()), ids=list(SERVERS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("site"))
    with running(made, request.param):
        yield made


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_table_of_requests_live(site: Site, case: Case) -> None:
    before = len(site.hits())
    answer = parse(raw(site.port, wire(case.path, case.method, case.host)))
    assert answer.status == case.status
    for name, value in case.headers.items():
        assert answer.headers[name] == value
    if case.body is not None:
        assert answer.body == case.body
    assert len(site.hits()) - before == case.events


def test_location_goes_over_the_wire_byte_for_byte(site: Site) -> None:
    for target in (
        b"https://shop.example.org/%E2%82%AC?a=1&b=%zz&c='(x)'#frag",
        b"http://a.example.org",
        b"HTTPS://A.example.org:8443/x;y=1?{}|^`",
        b"https://a.example.org/" + b"x" * 3000 + b"?q=&&==",
        b"https://a.example.org//double//../up/./x",
    ):
        answer = raw(site.port, wire(f"/f/a/{token(target=target)}"))
        assert b"ocation: " + target + b"\r\n" in answer, target


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /f/a/x HTTP/1.1\r\n\r\n",  # no Host
        b"GET /f/a/x HTTP/1.0\r\n\r\n",
        b"GET /f/a/\xff\xfe HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\nConnection: close\r\n\r\n",
        b"GET /f/a/%00%0d%0aX:1 HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\nConnection: close\r\n\r\n",
        b"GET /q/%zz%e HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/f/a/x HTTP/1.1\r\nHost: "
        + HOST.encode()
        + b"\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\nConnection: close\r\n\r\n",
        b"GET /f/a/x HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_odd_requests_get_an_answer_below_500(site: Site, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while chunk := connection.recv(65536):
            got += chunk
    if got.startswith(b"HTTP/"):  # what is no request at all may get no HTTP at all
        assert 200 <= int(got.split()[1]) < 500, got[:200]
    assert b"ocation" not in got


@pytest.mark.parametrize("length", [100, 1000, 2000, 4000, 6000, 8000, 9000])
def test_long_paths_are_answered(site: Site, length: int) -> None:
    """A link of ours has at most 2,000 characters, gateways escape it to three times that."""
    click = token()
    padded = f"/f/a/{click}?{'u=' * length}"[:length] if length > len(click) + 6 else f"/f/a/{click}"
    assert fetch(site.port, padded).status == 302
    assert fetch(site.port, "/f/a/" + "A" * length).status == 404


def test_no_page_of_data_is_on_the_tracker_under_any_name(site: Site) -> None:
    for host in (HOST, "localhost", f"localhost:{site.port}", f"127.0.0.1:{site.port}", "[::1]"):
        assert fetch(site.port, "/", host=host).body == front_page("")[1]
        for path in ("/live/new", "/static/page.css", "/sign-in", "/?token=x&type=click"):
            assert fetch(site.port, path, host=host).body in (UNKNOWN, front_page("")[1])
    assert fetch(site.port, "/", host="evil.example").status == 404


# --- our own server alone from here ---


def test_stops_cleanly_and_says_so(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site) as process:
        assert fetch(site.port, f"/f/a/{token()}").status == 302
        with socket.create_connection(("127.0.0.1", site.port)):  # one that keeps its connection open
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
    log = (site.folder / "log").read_text()
    assert " start: listen=" in log
    assert " stop" in log
    assert len(site.hits()) == 1


def test_every_line_of_the_log_looks_like_a_mail_log(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site) as process:
        kill_one_worker(process)
        time.sleep(1.5)
        wait_for_port(site.port)
        assert fetch(site.port, f"/f/a/{token()}").status == 302
    lines = (site.folder / "log").read_text().splitlines()
    assert len(lines) >= 3
    for line in lines:
        assert re.fullmatch(r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d smtpapi/tracker\[\d+\]: .+", line), line


def outcome(site: Site) -> tuple[int, str]:
    done = subprocess.run(
        own(site),
        env=environment(site),
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_port_in_use_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", site.port))
        other.listen()
        code, output = outcome(site)
    assert code == 2
    assert output.count("\n") == 1
    for part in (f"127.0.0.1:{site.port}", "ss -ltnp", "tracker", str(site.config)):
        assert part in output


def test_one_that_joins_answers_when_the_one_before_has_ended(tmp_path: Path) -> None:
    site = make_site(tmp_path)

    def joining(site: Site) -> list[str]:
        return [*own(site), "--join"]

    with running(site) as first, running(site, joining) as second:
        first.terminate()
        assert first.wait(30) == 0
        wait_for_port(site.port, second)
        assert fetch(site.port, f"/f/a/{token()}").status == 302


def test_missing_key_ring_is_one_line_that_says_what_to_run(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    (tmp_path / "keys").unlink()
    code, output = outcome(site)
    assert (code, output.count("\n")) == (2, 1)
    assert str(tmp_path / "keys") in output
    assert "smtpapi keys" in output


def test_broken_configuration_names_the_place(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    site.config.write_text("smtpapi { }\ntracker { workers = many }\n")
    code, output = outcome(site)
    assert code == 2
    assert f"{site.config}:2:" in output


def test_list_of_objections_that_cannot_be_read_is_no_start(tmp_path: Path) -> None:
    site = make_site(tmp_path, more=f'privacy {{ objections = "{tmp_path}/none" }}')
    code, output = outcome(site)
    assert (code, output.count("\n")) == (2, 1)
    assert f"{tmp_path}/none: No such file or directory; make it, empty if nobody objected" in output


def test_missing_association_file_names_the_file(tmp_path: Path) -> None:
    site = make_site(tmp_path, tracker=f'assetlinks = "{tmp_path}/nowhere.json"')
    code, output = outcome(site)
    assert (code, output.count("\n")) == (2, 1)
    assert f"{tmp_path}/nowhere.json" in output


def preloaded(site: Site) -> list[str]:
    """gunicorn loads the application once and forks: what one process owns must be made after that."""
    return [*gunicorn(site), "--preload", "--workers", "3"]


def the_command(site: Site) -> list[str]:
    program = "from smtpapi.commands import main; main()"
    return [sys.executable, "-c", program, "tracker", "--config", str(site.config)]


@pytest.mark.parametrize("command", [preloaded, the_command], ids=["preforked", "smtpapi-tracker"])
def test_other_ways_to_start_it(tmp_path: Path, command: Callable[[Site], list[str]]) -> None:
    site = make_site(tmp_path)
    with running(site, command):
        for number in range(60):
            assert fetch(site.port, f"/f/a/{token(campaign=str(number))}").status == 302
        assert fetch(site.port, "/", host="localhost").status == 200
    ids = [hit.id for hit in site.hits()]
    assert len(ids) == len(set(ids)) == 60


def test_association_files_are_served(tmp_path: Path) -> None:
    (tmp_path / "links.json").write_bytes(b'[{"relation": []}]')
    site = make_site(tmp_path, tracker=f'assetlinks = "{tmp_path}/links.json"')
    with running(site):
        answer = fetch(site.port, "/.well-known/assetlinks.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == b'[{"relation": []}]'


@pytest.mark.parametrize("spool", ["missing-parent", "a-file"])
def test_links_work_without_a_spool(tmp_path: Path, spool: str) -> None:
    """postal#915, mautic#5322: a tracker whose storage is away must still send readers on."""
    site = make_site(tmp_path)
    if spool == "a-file":
        site.spool.write_text("in the way")
    else:
        site.config.write_text(site.config.read_text().replace(str(site.spool), "/proc/nowhere/spool"))
    with running(site):
        assert fetch(site.port, f"/f/a/{token()}").status == 302
        assert fetch(site.port, f"/q/{token(Kind.OPEN)}").status == 200
    log = (site.folder / "log").read_text()
    assert "dropped" in log
    assert token()[:30] not in log


def test_no_token_reaches_the_log(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site):
        for path in (f"/f/a/{token()}", f"/f/a/{token()[:-4]}", f"/x/{token()}", f"/f/a/{token()}/%ff"):
            fetch(site.port, path)
    assert token()[:16] not in (site.folder / "log").read_text()


def test_environment_does_not_pass_for_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """granian mixes the environment into each request."""
    monkeypatch.setenv("HTTP_X_FORWARDED_FOR", "6.6.6.6")
    monkeypatch.setenv("HTTP_HOST", HOST)
    site = make_site(tmp_path)
    with running(site):
        assert fetch(site.port, f"/f/a/{token()}").status == 302
        assert raw(site.port, wire(f"/f/a/{token()}", host=None)).split()[1] == b"302"
    assert [(hit.client_address, hit.host) for hit in site.hits()] == [("127.0.0.1", HOST), ("127.0.0.1", "")]


def test_privacy_off_keeps_nothing(tmp_path: Path) -> None:
    site = make_site(tmp_path, more='privacy { mode = "off" }')
    with running(site):
        assert fetch(site.port, f"/f/a/{token()}").status == 302
        assert fetch(site.port, f"/q/{token(Kind.OPEN)}").status == 200
    assert site.hits() == []


class Clicker(threading.Thread):
    """Clicks without pause, each a link and User-Agent of its own, and keeps what was answered with 302."""

    def __init__(self, port: int, name: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.label, self.over = port, name, over
        self.answered: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            agent = f"{self.label}-{number}"
            try:
                if fetch(self.port, f"/f/a/{token(campaign=agent)}", User_Agent=agent).status == 302:
                    self.answered.append(agent)
            except (OSError, IndexError):  # killed before it answered
                time.sleep(0.005)


def kill_the_server(process: subprocess.Popen[bytes]) -> None:
    kill_all(process)


def kill_one_worker(process: subprocess.Popen[bytes]) -> None:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        int(child) for child in children if b"tracker_web" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(random.choice(workers), signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_the_server, kill_one_worker])
def test_every_answered_click_is_in_the_spool_once_whenever_it_is_killed(
    tmp_path: Path, kill: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """What was answered is kept (design rule 6): kill -9 at moments of chance, then a new start."""
    site = make_site(tmp_path)
    over = threading.Event()
    crew = [Clicker(site.port, f"clicker-{number}", over) for number in range(3)]
    for number in range(4):
        with running(site) as process:
            if number == 0:
                for each in crew:
                    each.start()
            time.sleep(random.uniform(0.2, 0.8))
            kill(process)
            if kill is kill_one_worker:
                time.sleep(1.2)
                wait_for_port(site.port)  # it comes back by itself
    over.set()
    for each in crew:
        each.join(timeout=60)
    answered = [agent for each in crew for agent in each.answered]
    recorded = [hit.user_agent for hit in site.hits()]
    assert len(answered) > 50
    assert set(answered) <= set(recorded)
    assert len(recorded) == len(set(recorded))
    ids = [hit.id for hit in site.hits()]
    assert len(ids) == len(set(ids))


def test_two_thousand_targets_arrive_byte_for_byte(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    chance = random.Random(NOW)
    alphabet = [chr(code) for code in range(0x21, 0x7F) if code != ord("\\")]
    with running(site), socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
        reader = connection.makefile("rb")
        for _ in range(2000):
            target = "https://shop.example.org/" + "".join(chance.choices(alphabet, k=chance.randrange(200)))
            path = f"/f/a/{token(target=target.encode())}"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            found = b""
            while (line := reader.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"location: "):
                    found = line[10:-2]
            assert found == target.encode()
    assert len(site.hits()) == 2000


def test_nothing_is_new_before_anything_happened(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    with running(site, web):
        assert fetch_json(site, "/live/new")["count"] == 0
