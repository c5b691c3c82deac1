"""The parent and its workers: start, stop, crash, reload; each trap of libmilter under fork has its test."""

import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engagement.links.ring_file import save_ring
from milter_client import Gone, MilterClient
from mta.mta_site import LISTENER, Filter, open_folders, until
from smtpapi.process import listener

_MAIL = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
_FAULTY = str(Path(__file__).with_name("faulty_filter.py"))


def _faulty(fault: str) -> tuple[str, ...]:
    return (sys.executable, _FAULTY, fault)


def _send(site: Filter) -> str:
    client = MilterClient(site.socket)
    client.connect()
    answer = client.message(b"a@s.test", [b"b@r.test"], _MAIL)
    client.quit()
    return answer.verdict


def _run(site: Filter, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program to its end."""
    command = [*site._program, "milter", "--config", str(site.config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_workers_share_one_socket_and_all_stop_at_sigterm(tmp_path: Path) -> None:
    """With a blocking socket, workers that lost the race for a connection would hang in accept."""
    with Filter(tmp_path, workers=3) as site:
        workers = site.workers()
        assert len(workers) == 3
        assert {_send(site) for _ in range(10)} == {"accept"}
        assert site.stop(10) == 0
        assert all(_gone(pid) for pid in workers)
        assert not site.socket.exists()
        assert "stopped" in site.log_text()


def test_an_idle_session_does_not_delay_the_stop(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2) as site:
        client = MilterClient(site.socket)
        client.connect()
        began = time.monotonic()
        site.stop()
        assert time.monotonic() - began < 8
        assert client.closed()


def test_a_worker_that_stops_leaves_the_socket_there(tmp_path: Path) -> None:
    """libmilter unlinks its socket's path when it is not root; it must not be ours."""
    assert os.geteuid() == 0, "root is needed, to become another user: run `make test` as root"
    nobody = pwd.getpwnam("nobody")
    open_folders(tmp_path)
    site = Filter(tmp_path / "f", milter='user = "nobody"')
    for path in (site.folder, site.spool, site.folder / "keys"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    with site:
        (worker,) = site.workers()
        assert os.stat(f"/proc/{worker}").st_uid == nobody.pw_uid
        os.kill(worker, signal.SIGTERM)
        until(lambda: site.workers() not in ([], [worker]), 25, "a new worker")
        assert site.socket.exists()
        assert _send(site) == "accept"


def test_it_does_not_work_as_root_unless_told(tmp_path: Path) -> None:
    assert os.geteuid() == 0, "root is needed, as this is about root: run `make test` as root"
    site = Filter(tmp_path, milter="#\n")
    done = _run(site)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "smtpapi milter: milter.user is not set, and the filter does not work as root"
    )
    assert "Traceback" not in done.stderr
    assert not site.socket.exists()


def test_a_filter_that_joins_takes_the_socket_over_and_sessions_go_on(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        before = MilterClient(site.socket)
        before.connect()
        log = tmp_path / "joined.log"
        with log.open("wb") as file:
            joined = subprocess.Popen(
                [*site._program, "milter", "--join", "--config", str(site.config)], stderr=file
            )
        try:
            until(lambda: "ready: listening" in log.read_text(), 25, "the second filter")
            assert _send(site) == "accept"
            assert "status=" in log.read_text()
            assert "status=" not in site.log_text()
            assert not before.closed()
            assert site.socket.stat().st_nlink == 1, "Sendmail takes no socket that has two names"
            site.stop()
            assert site.socket.exists(), "the first one must not remove what the second one has"
            assert _send(site) == "accept"
        finally:
            joined.terminate()
            assert joined.wait(40) == 0
        assert not list(site.socket.parent.glob(f"{site.socket.name}*"))


def test_what_a_killed_filter_that_joined_left_is_removed_by_the_next(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s.4711"))
    name = f"unix:{tmp_path / 's'}"
    listening = listener.bind(name, join=True)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert (tmp_path / "s").stat().st_nlink == 1
    listener.remove(name, listener.identity(name))
    listening.close()
    assert not list(tmp_path.iterdir())


def test_a_second_filter_does_not_take_the_socket_away(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        done = subprocess.run(
            [*site._program, "milter", "--config", str(site.config)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr == (
            f"smtpapi milter: {site.socket}: another milter answers there; "
            "stop it first, or change milter.socket\n"
        )
        assert _send(site) == "accept"


def test_a_socket_left_behind_is_replaced_and_only_the_group_may_use_it(tmp_path: Path) -> None:
    site = Filter(tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(site.socket))
    with site:
        assert _send(site) == "accept"
        assert site.socket.stat().st_mode & 0o777 == 0o770


def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2) as site:
        workers = site.workers()
        assert site.process is not None
        site.process.kill()
        site.process.wait()
        until(lambda: all(_gone(pid) for pid in workers), 8, "the workers' end")


def test_a_killed_worker_is_replaced_and_the_other_serves_on(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2) as site:
        assert _send(site) == "accept"
        first, other = site.workers()
        os.kill(first, signal.SIGKILL)
        assert {_send(site) for _ in range(5)} == {"accept"}
        until(lambda: len(site.workers()) == 2 and first not in site.workers(), what="a new worker")
        assert other in site.workers()
        assert f"worker {first} was killed by signal 9" in site.log_text()
        assert site.counts()["workers-died"] == 1
        assert site.counts()["messages"] == 6  # what the dead one had counted stays counted


def test_a_worker_killed_at_the_end_of_a_message_leaves_its_client_without_an_answer(tmp_path: Path) -> None:
    """An MTA takes that for 451; nothing was changed."""
    with Filter(tmp_path, program=_faulty("slow")) as site:
        client = MilterClient(site.socket)
        client.connect()
        threading.Timer(0.5, lambda: os.kill(site.workers()[0], signal.SIGKILL)).start()
        with pytest.raises(Gone):
            client.message(b"a@s.test", [b"b@r.test"], _MAIL)
        until(lambda: site.counts()["workers-started"] == 2, what="a new worker")
        assert _send(site) == "accept"


def test_the_message_under_way_is_answered_before_the_stop(tmp_path: Path) -> None:
    with Filter(tmp_path, program=_faulty("slow")) as site:
        assert site.process is not None
        threading.Timer(0.5, site.process.terminate).start()
        assert _send(site) == "accept"
        assert site.process.wait(10) == 0
        (event,) = site.injections()
        assert event.recipient == "b@r.test"


def test_workers_that_cannot_start_are_not_started_again_and_again(tmp_path: Path) -> None:
    site = Filter(tmp_path, program=_faulty("start"))
    done = _run(site)
    assert done.returncode == 2
    assert "smtpapi milter: the workers do not start; the log above says why" in done.stderr
    assert done.stderr.count("worker stops, traceback follows") == 1


def test_a_worker_that_dies_at_once_is_restarted_ever_more_slowly(tmp_path: Path) -> None:
    flag = tmp_path / "dies"
    with Filter(tmp_path, program=_faulty(f"dies-while:{flag}")) as site:
        flag.touch()
        os.kill(site.workers()[0], signal.SIGKILL)
        time.sleep(4)
        until(lambda: site.counts()["workers-started"] >= 2, 15, "a new worker")
        assert site.counts()["workers-started"] <= 6
        flag.unlink()
        until(lambda: site.workers() and _serves(site), 15, "service again")


@pytest.mark.parametrize("way", ["gone", "broken", "mode"])
def test_h9_a_worker_that_dies_while_the_ring_is_unreadable_is_replaced(tmp_path: Path, way: str) -> None:
    """docs/postfix.md: the keys read before stay in use."""
    keys = tmp_path / "keys"
    with Filter(tmp_path) as site:
        before = site.workers()
        match way:
            case "gone":
                keys.rename(tmp_path / "away")
            case "broken":
                keys.write_text("no keys\n")
            case _:
                keys.chmod(0o644)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: site.workers() not in ([], before) and _serves(site), 10, "a new worker")
        client = MilterClient(site.socket)
        client.connect()
        assert _tracked(site, client)
        assert f"{keys}:" in site.log_text()
        assert "the keys read before stay in use" in site.log_text()


def test_a_key_added_after_the_start_is_known_to_a_worker_started_while_the_ring_is_unreadable(
    tmp_path: Path,
) -> None:
    """The parent keeps the newest ring that it saw, not the one of its start."""
    keys = tmp_path / "keys"
    with Filter(tmp_path) as site:
        site.ring = site.ring.rotated(bytes(32), 2)
        save_ring(keys, site.ring)
        os.kill(site.workers()[0], signal.SIGKILL)
        until(lambda: site.counts()["workers-started"] == 2 and _serves(site), 10, "a new worker")
        keys.unlink()
        os.kill(site.workers()[0], signal.SIGKILL)
        until(lambda: site.counts()["workers-started"] == 3 and _serves(site), 10, "another")
        client = MilterClient(site.socket)
        client.connect()
        body = client.message(b"a@s.test", [b"b@r.test"], _MAIL).body
        assert {each.identity.recipient for each in site.links(body)} == {"b@r.test"}
        assert {each.key_id for each in site.links(body)} == {2}


def _reloaded(site: Filter, number: int) -> None:
    """Reload until that many were done or refused, and leave a session open on some worker."""
    client = MilterClient(site.socket)
    client.connect()
    _open.append(client)
    site.hup()
    until(lambda: sum(site.counts()[f"reloads{end}"] for end in ("", "-refused")) >= number, 30, "a reload")


_open: list[MilterClient] = []


@pytest.fixture(autouse=True)
def _hang_up() -> Iterator[None]:
    yield
    _open.clear()


def test_h4_reloads_in_a_row_with_sessions_open_never_end_the_filter(tmp_path: Path) -> None:
    """Each worker has a row of the counters, and there are only so many: here 9, of 2 workers."""
    with Filter(tmp_path, workers=2, program=_faulty("few-rows")) as site:
        for number in range(1, 13):
            _reloaded(site, number)
            assert not site.ended(), site.log_text()
        assert _send(site) == "accept"
        assert site.counts()["reloads"] == 12
        assert "do not wait for their sessions any longer" in site.log_text()
        until(lambda: len(site.workers()) <= 2 + 3 + 2, 40, "the oldest workers' end")
        newest = _open[-1]
        assert _tracked(site, newest)  # the oldest sessions are cut, not the newest


def test_h4_a_thousand_hups_at_once_leave_the_filter_serving(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2) as site:
        clients = [MilterClient(site.socket) for _ in range(6)]
        for client in clients:
            client.connect()
        for _ in range(1000):
            site.hup()
            time.sleep(0.001)
        until(lambda: site.counts()["reloads"] > 1, 30, "reloads")
        assert not site.ended(), site.log_text()
        assert _send(site) == "accept"
        assert {client.message(b"a@s.test", [b"b@r.test"], _MAIL).verdict for client in clients} == {"accept"}
        assert site.stop() == 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_h4_a_thousand_reloads_with_sessions_open_leave_the_filter_serving(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2) as site:
        for number in range(1, 1001):
            _reloaded(site, number)
            assert not site.ended(), (number, site.log_text())
            assert len(site.workers()) <= 64 + 2 + 2 + 64
        assert _send(site) == "accept"
        assert site.counts()["reloads"] == 1000
        assert _tracked(site, _open[-1])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_h4_reloads_of_as_many_workers_as_may_be_leave_the_filter_serving(tmp_path: Path) -> None:
    """The third of them ended the filter."""
    with Filter(tmp_path, workers=64) as site:
        for number in range(1, 7):
            _open.extend(MilterClient(site.socket) for _ in range(300))
            _reloaded(site, number)
            assert not site.ended(), (number, site.log_text())
        assert _send(site) == "accept"


def test_a_process_that_cannot_be_made_is_made_later_and_refuses_a_reload(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2, program=_faulty("no-fork")) as site:
        site.hup()
        until(lambda: "Reconfigure failed." in site.log_text(), what="the refusal")
        assert "a worker cannot be started: Resource temporarily unavailable" in site.log_text()
        os.kill(site.workers()[0], signal.SIGKILL)
        until(lambda: "tried again in" in site.log_text(), what="the wait")
        assert not site.ended()
        assert _send(site) == "accept"  # by the other worker


def _serves(site: Filter) -> bool:
    try:
        return _send(site) == "accept"
    except (Gone, TimeoutError):
        return False


def _tracked(site: Filter, client: MilterClient) -> bool:
    return bool(site.links(client.message(b"a@s.test", [b"b@r.test"], _MAIL).body))


@pytest.mark.parametrize("fault", ["", "slow-to-give-up"])
def test_reload_serves_new_sessions_anew_and_lets_old_ones_finish(tmp_path: Path, fault: str) -> None:
    """New ones from the moment that the log says so, however busy the machine is."""
    with Filter(tmp_path, program=_faulty(fault)) if fault else Filter(tmp_path) as site:
        old = MilterClient(site.socket)
        old.connect()
        assert _tracked(site, old)
        workers = site.workers()
        site.configure(LISTENER.replace("click_tracking_enabled = true", "click_tracking_enabled = false"))
        site.hup()
        until(lambda: "Reconfigured" in site.log_text(), what="the reload")
        for _ in range(20):  # both would take them, as long as both listen
            new = MilterClient(site.socket)
            new.connect()
            assert b"track" not in new.message(b"a@s.test", [b"b@r.test"], _MAIL).body.partition(b"</a>")[0]
            new.quit()
        assert _tracked(site, old)  # its worker and its configuration are still there
        assert workers[0] in site.workers()
        old.quit()
        until(lambda: workers[0] not in site.workers(), 8, "the old worker's end")
        assert site.counts()["workers-died"] == 0


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("smtpapi { ", "smtpapi.conf:1:"),
        ("smtpapi { }\nmilter { workers = many }", "smtpapi.conf:2:"),
        ('smtpapi { }\nkeys { ring = "/nowhere/keys" }', "/nowhere/keys: no such"),
        ('smtpapi { }\npolicy { file = "/nowhere/policy.py" }', "/nowhere/policy.py"),
    ],
    ids=["syntax", "value", "ring", "policy"],
)
def test_a_broken_reload_keeps_the_old_configuration_and_says_so(
    tmp_path: Path, broken: str, says: str
) -> None:
    with Filter(tmp_path) as site:
        workers = site.workers()
        site.configure("", broken)
        site.hup()
        until(lambda: "Reconfigure failed." in site.log_text(), what="the refusal")
        until(lambda: says in site.log_text(), what=says)
        assert site.workers() == workers
        client = MilterClient(site.socket)
        client.connect()
        assert _tracked(site, client)
        assert site.counts()["reloads-refused"] == 1


def test_reload_under_load_drops_no_connection(tmp_path: Path) -> None:
    failures: list[str] = []
    sent = [0]
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            try:
                client = MilterClient(site.socket)
                client.connect()
                for _ in range(5):
                    if client.message(b"a@s.test", [b"b@r.test"], _MAIL).verdict != "accept":
                        failures.append("not accepted")
                    sent[0] += 1
                client.quit()
            except (Gone, OSError) as error:
                failures.append(repr(error))

    with Filter(tmp_path, workers=2) as site:
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(3):
            time.sleep(0.7)
            site.hup()
            until(lambda: site.counts()["reloads"] == number + 1, 20, "the reload")  # noqa: B023 - called within this turn of the loop
        done.set()
        for thread in threads:
            thread.join()
        until(lambda: len(site.workers()) == 2, 10, "the old workers' end")
        assert not failures
        assert sent[0] > 50
        assert site.counts()["messages"] == sent[0]


def test_systemd_hears_of_ready_reloading_and_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(tmp_path / "notify"))
        hears.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with Filter(tmp_path / "f") as site:
            assert hears.recv(100) == b"READY=1"
            site.hup()
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", hears.recv(100))
            assert hears.recv(100) == b"READY=1"
            site.stop()
            assert hears.recv(100) == b"STOPPING=1"


def test_a_spool_that_cannot_be_written_costs_events_and_no_mail(tmp_path: Path) -> None:
    site = Filter(tmp_path)
    site.spool.rmdir()
    site.spool.write_text("in the way")
    with site:
        assert _send(site) == "accept"
        assert site.counts()["events-dropped"] == 1
        assert site.counts()["tracked"] == 1


def test_counters_can_be_read_while_it_runs(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        _send(site)
        done = subprocess.run(
            [*site._program, "milter", "--config", str(site.config), "--counters"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert 'smtpapi_milter_messages_total{outcome="tracked"} 1.0\n' in done.stdout
        assert 'smtpapi_milter_untouched_total{reason="untrusted"} 0.0\n' in done.stdout


def test_a_rotated_key_is_used_without_a_reload(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        client = MilterClient(site.socket)
        client.connect()
        assert _tracked(site, client)
        subprocess.run(
            [*site._program, "keys", "rotate", "--ring", str(site.folder / "keys")],
            check=True, capture_output=True,
        )  # fmt: skip
        time.sleep(1.2)
        body = client.message(b"a@s.test", [b"b@r.test"], _MAIL).body
        token = re.search(rb"/f/a/([A-Za-z0-9_-]+)", body)
        assert token is not None
        assert token[1][1:4] != b""
        with pytest.raises(Exception, match="key"):
            site.links(body)
