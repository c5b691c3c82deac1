"""/metrics of each program as it runs: judged by promtool, right in its figures, and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engagement.links.model import Kind
from engagement.maillogs import metrics as follower_metrics
from engagement.shipper import metrics as shipper_metrics
from milter_client import MilterClient
from mta.mta_site import SMTPAPI, Filter
from prometheus.scrape import ROOT, TIMEOUT, get, judge, scraped, until, values
from smtpapi.telemetry import metrics as milter_metrics
from tracker_web.server import counts
from tracker_web.web import request_metrics
from web.servers import Site, environment, fetch, free_port, make_site, running, web
from web.web_cases import token

MAIL = b'Subject: s\r\nContent-Type: text/html\r\n\r\n<p><a href="https://example.com/">x</a></p>\r\n'
LINE = (
    "2026-11-29T10:00:01.000000+00:00 mail postfix/smtp[7]: 4bXyZ1234z1: to=<a@example.com>, "
    "relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"
)


def _metrics(program: str, address: str) -> str:
    return f'metrics {{ {program} = "{address}" }}'


def _send(site: Filter) -> None:
    client = MilterClient(site.socket)
    client.connect()
    assert client.message(b"a@s.test", [b"b@r.test"], MAIL).verdict == "accept"
    client.quit()


@contextmanager
def _service(site: Site, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(SMTPAPI), *arguments, "--config", str(site.config)]
    with (site.folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment(site), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def _others(process: subprocess.Popen[bytes], address: str) -> int:
    """The process that listens on the address of metrics: none of the workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    inode = {
        fields[-1 if "/" not in fields[-1] else -2]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if (fields := line.split())[-1] == address.removeprefix("unix:")
    }
    for child in children:
        for descriptor in Path(f"/proc/{child}/fd").iterdir():
            if os.readlink(descriptor) in {f"socket:[{each}]" for each in inode}:
                return int(child)
    raise AssertionError("no process of its own shows the metrics")


def test_the_filter_shows_what_all_workers_counted(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with Filter(tmp_path, workers=2, more=_metrics("milter", address)) as site:
        for _ in range(4):
            _send(site)
        found = until(address, lambda now: now['smtpapi_milter_messages_total{outcome="tracked"}'] == 4)
        assert found["smtpapi_milter_sessions_total"] >= 4
        assert found["smtpapi_milter_worker_starts_total"] == 2
        assert found['smtpapi_milter_message_duration_seconds_count{outcome="tracked"}'] == 4
        seconds = found['smtpapi_milter_message_duration_seconds_sum{outcome="tracked"}']
        assert 0 < seconds < 4 * 20
        assert found["smtpapi_milter_memory_limit_bytes"] == 256 * 1024 * 1024
        judge(scraped(address), milter_metrics.METRICS)
        assert get(address, "/")[0] == 404
        assert get(address, method="POST")[0] == 405
    assert "metrics" not in site.log_text()


def test_the_filters_metrics_outlive_a_reload_and_their_own_process(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/m"
    with Filter(tmp_path, more=_metrics("milter", address)) as site:
        _send(site)
        until(address, lambda now: now['smtpapi_milter_messages_total{outcome="tracked"}'] == 1)
        site.hup()
        until(address, lambda now: now['smtpapi_milter_reloads_total{result="done"}'] == 1)
        _send(site)
        until(address, lambda now: now['smtpapi_milter_messages_total{outcome="tracked"}'] == 2)
        assert site.process is not None
        shows = _others(site.process, address)
        os.kill(shows, signal.SIGKILL)
        _send(site)  # mail does not depend on it
        site.process.kill()  # and it does not outlive its parent
        site.process.wait()


def test_a_filter_that_is_killed_takes_its_metrics_along(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    site = Filter(tmp_path, more=_metrics("milter", address)).start()
    scraped(address)
    assert site.process is not None
    site.process.kill()
    site.process.wait()
    with Filter(tmp_path / "again", more=_metrics("milter", address)) as again:
        until(address, lambda now: now["smtpapi_milter_sessions_total"] == 0)
        _send(again)
        until(address, lambda now: now['smtpapi_milter_messages_total{outcome="tracked"}'] == 1)


def test_an_address_that_is_taken_costs_no_mail(tmp_path: Path) -> None:
    taken = Filter(tmp_path / "first", more=_metrics("milter", f"unix:{tmp_path}/m"))
    with taken, Filter(tmp_path / "second", more=_metrics("milter", f"unix:{tmp_path}/m")) as site:
        scraped(f"unix:{tmp_path}/m")
        end = time.monotonic() + TIMEOUT
        while "metrics cannot be served" not in taken.log_text() + site.log_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        _send(taken)
        _send(site)


def test_counters_are_printed_in_the_same_words(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        _send(site)
        command = [str(SMTPAPI), "milter", "--config", str(site.config), "--counters"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown = (milter_metrics.MEMORY, milter_metrics.MEMORY_LIMIT)  # in memory alone
    judge(done.stdout, tuple(metric for metric in milter_metrics.METRICS if metric not in shown))
    assert values(done.stdout)['smtpapi_milter_messages_total{outcome="tracked"}'] == 1


def test_the_tracker_shows_what_all_workers_counted_and_readers_never_see_it(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    site = make_site(tmp_path, more=_metrics("tracker", address))
    site.config.write_text(site.config.read_text().replace("workers = 1", "workers = 2"))
    with running(site) as process:
        for _ in range(6):
            assert fetch(site.port, f"/f/a/{token()}").status == 302
        assert fetch(site.port, f"/q/{token(Kind.OPEN)}").status == 200
        hidden = fetch(site.port, "/metrics")
        assert (hidden.status, b"smtpapi" in hidden.body) == (404, False)
        found = until(address, lambda now: now['smtpapi_tracker_responses_total{code="302"}'] == 6)
        assert found['smtpapi_tracker_responses_total{code="404"}'] == 1
        assert found["smtpapi_tracker_worker_starts_total"] == 2
        judge(scraped(address), counts.METRICS)
        process.send_signal(signal.SIGHUP)
        until(address, lambda now: now["smtpapi_tracker_worker_starts_total"] == 4)
        assert fetch(site.port, f"/f/a/{token()}").status == 302
        until(address, lambda now: now['smtpapi_tracker_responses_total{code="302"}'] == 7)


def test_a_tracker_whose_spool_is_in_the_way_counts_what_it_drops(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    site = make_site(tmp_path, more=_metrics("tracker", address))
    site.spool.write_text("in the way")
    with running(site):
        for _ in range(3):
            assert fetch(site.port, f"/f/a/{token()}").status == 302
        until(address, lambda now: now["smtpapi_tracker_events_dropped_total"] == 3)


def test_the_shipper_shows_its_lag_and_what_waits(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/m"
    site = make_site(tmp_path, more=_metrics("shipper", address))
    with running(site):
        for _ in range(3):
            fetch(site.port, f"/f/a/{token()}")
    with _service(site, "ship"):
        found = until(address, lambda now: now["smtpapi_shipper_records_total"] >= 1)
        assert found["smtpapi_shipper_active"] == 1
        found = until(address, lambda now: now["smtpapi_spool_waiting_bytes"] == 0)
        assert (
            found['smtpapi_shipper_lag_seconds_count{record="hit"}'] == found["smtpapi_shipper_records_total"]
        )
        assert found["smtpapi_spool_oldest_seconds"] == 0
        assert 0 < found["smtpapi_spool_limit_bytes"] <= 1024**3
        judge(scraped(address), shipper_metrics.METRICS)
    assert not (tmp_path / "m").exists()


def test_a_shipper_whose_store_is_away_shows_that_events_wait(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/m"
    site = make_site(tmp_path, more=_metrics("shipper", address))
    with running(site):
        fetch(site.port, f"/f/a/{token()}")
    site.store.mkdir()  # in the way
    with _service(site, "ship"):
        found = until(address, lambda now: now["smtpapi_shipper_failing"] == 1)
        assert found["smtpapi_shipper_active"] == 0
        assert found["smtpapi_spool_waiting_bytes"] > 0
        assert found["smtpapi_spool_waiting_segments"] == 1
        assert 0 <= found["smtpapi_spool_oldest_seconds"] < 600


def test_the_follower_shows_what_it_told(tmp_path: Path) -> None:
    address, log = f"127.0.0.1:{free_port()}", tmp_path / "mail.log"
    log.write_text(LINE)
    more = f'follow {{ log = "{log}" node_name = mail state = "{tmp_path}/follow.db" }}\n'
    site = make_site(tmp_path, more=more + _metrics("follower", address))
    with _service(site, "follow"):
        found = until(address, lambda now: now["smtpapi_follower_lines_total"] == 1)
        assert found["smtpapi_follower_failing"] == 0
        assert found["smtpapi_follower_last_line_timestamp_seconds"] == 1795946401
        judge(scraped(address), follower_metrics.METRICS)


def test_the_pages_program_shows_its_requests(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    site = make_site(tmp_path, more=_metrics("web", address))
    with running(site, web) as process:
        assert fetch(site.web, "/", host="localhost").status == 401
        hidden = fetch(site.web, "/metrics", host="localhost")
        assert b"smtpapi_web" not in hidden.body
        found = until(
            address, lambda now: now.get('smtpapi_web_requests_total{area="page",code="401"}', 0) >= 1
        )
        assert found['smtpapi_web_request_duration_seconds_count{area="page"}'] >= 1
        judge(scraped(address), request_metrics.METRICS)
        process.send_signal(signal.SIGHUP)  # the new worker takes the address once the old one has gone
        until(address, lambda now: now['smtpapi_web_request_duration_seconds_count{area="page"}'] == 0)


def test_nobody_has_the_library_who_does_not_show_metrics() -> None:
    code = (
        "import sys, tracker_web.server.serve, smtpapi.process.supervisor, engagement.shipper.metrics, "
        "engagement.maillogs.metrics; sys.exit('prometheus_client' in sys.modules)"
    )
    path = os.pathsep.join((str(ROOT), str(ROOT / "milter")))
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, check=True)
