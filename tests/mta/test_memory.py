"""What mail takes of memory: nothing that grows with the mails seen, and never more than its limit."""

import os
import re
import resource
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from milter_client import Answer, MilterClient
from mta.mta_site import Filter, until

_MAIL = b"Content-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
_NEWSLETTER = Path(__file__).parents[2] / "demo" / "newsletter.eml"


def _resident(pid: int, what: str = "VmRSS") -> int:
    """Kilobytes."""
    found = re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def _send(site: Filter, raw: bytes, mails: int) -> None:
    for session in range(mails // 10):
        client = MilterClient(site.socket)
        client.connect()
        for number in range(10):
            recipient = b"u%d-%d@r.test" % (session, number)
            assert client.message(b"a@s.test", [recipient], raw).verdict == "accept"
        client.quit()


def test_memory_stays_where_it_was_after_the_first_thousand(tmp_path: Path) -> None:
    """Measured over 10,000: 32.6 MB after 1,000, 32.8 MB after 10,000."""
    raw = _NEWSLETTER.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    with Filter(tmp_path) as site:
        (worker,) = site.workers()
        _send(site, raw, 1000)
        first = _resident(worker)
        _send(site, raw, 2000)
        assert site.counts()["tracked"] == 3000
        assert _resident(worker) - first < 1500
        assert _resident(worker) < 80_000


_HTML = [("Content-Type", b" text/html")]


def _under_way(
    client: MilterClient, size: int, fields: list[tuple[str, bytes]] = _HTML, sender: bytes = b"a@s.test"
) -> None:
    """A message as far as its body, without its end."""
    client.envelope(sender, [b"b@r.test"])
    client.content(fields, b"<a href=https://shop.example/>x</a>" + b"x" * size)


def _connected(site: Filter, count: int, address: str = "127.0.0.1") -> list[MilterClient]:
    clients = [MilterClient(site.socket, timeout=60) for _ in range(count)]
    for client in clients:
        client.connect(address)
    return clients


def test_h5_bodies_of_strangers_are_not_kept(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        (worker,) = site.workers()
        clients = _connected(site, 12, "203.0.113.9")
        before = _resident(worker)
        for client in clients:
            _under_way(client, 8_000_000)
        grown = _resident(worker) - before
        assert grown < 8_000, f"{grown} kB for 96 MB of strangers' bodies"
        assert {client.end([], b"").verdict for client in clients} == {"accept"}
        assert site.counts()["why-untrusted"] == len(clients)


def test_h5_mail_under_way_has_a_limit_over_which_it_passes_untouched(tmp_path: Path) -> None:
    with Filter(tmp_path, more="limits { max_message_size = 16777216 max_memory = 16777216 }") as site:
        (worker,) = site.workers()
        clients = _connected(site, 8)
        before = _resident(worker)
        for client in clients:
            _under_way(client, 8_000_000)
        assert _resident(worker) - before < 24_000
        for client in clients:
            answer = client.end([], b"")
            assert (answer.verdict, answer.body) == ("accept", b"")
        assert site.counts()["why-over-memory"] >= 6
        assert client.message(b"a@s.test", [b"b@r.test"], _MAIL).verdict == "accept"
        assert site.counts()["tracked"] >= 1, "there is room again"


@pytest.mark.parametrize(
    ("fields", "sender", "reason"),
    [
        (_HTML, b"", "null-sender"),
        ([*_HTML, ("DKIM-Signature", b" v=1")], b"a@s.test", "dkim-signed"),
        ([("Content-Type", b" multipart/signed; boundary=b")], b"a@s.test", "signed"),
        ([("Content-Type", b" application/pdf")], b"a@s.test", "no-part"),
        (
            [("Received", b" from x (x [203.0.113.9]) by mx.test (Postfix) with ESMTP id A; x"), *_HTML],
            b"a@s.test",
            "untrusted",
        ),
    ],
)
def test_h5_bodies_that_the_header_settles_are_not_kept(
    tmp_path: Path, fields: list[tuple[str, bytes]], sender: bytes, reason: str
) -> None:
    with Filter(tmp_path) as site:
        (worker,) = site.workers()
        clients = _connected(site, 12)
        before = _resident(worker)
        for client in clients:
            _under_way(client, 8_000_000, fields, sender)
        grown = _resident(worker) - before
        assert grown < 8_000, f"{grown} kB for 96 MB of bodies that nothing reads"
        assert {client.end([], b"").verdict for client in clients} == {"accept"}
        assert site.counts()[f"why-{reason}"] == len(clients)


def test_h5_what_is_too_large_is_let_go_as_soon_as_it_is(tmp_path: Path) -> None:
    with Filter(tmp_path, more="limits { max_message_size = 4194304 max_memory = 16777216 }") as site:
        clients = _connected(site, 12)
        for client in clients:
            _under_way(client, 8_000_000)
        assert {client.end([], b"").verdict for client in clients} == {"accept"}
        counts = site.counts()
        assert (counts["why-too-large"], counts["why-over-memory"]) == (len(clients), 0)


_LIMIT_16 = "limits { max_message_size = 16777216 max_memory = 16777216 }"


def test_h5_the_limit_is_that_of_all_workers_together(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=4, more=_LIMIT_16) as site:
        workers = site.workers()
        clients = _connected(site, 16)
        before = sum(map(_resident, workers))
        for client in clients:
            _under_way(client, 4_000_000)
        grown = sum(map(_resident, workers)) - before
        assert grown < 24_000, f"{grown} kB with a limit of 16 MB"
        assert {client.end([], b"").verdict for client in clients} == {"accept"}
        assert site.counts()["why-over-memory"] >= len(clients) - 4
        assert clients[0].message(b"a@s.test", [b"b@r.test"], _MAIL).body != b""
        assert site.counts()["tracked"] >= 1, "there is room again"


def test_h5_workers_that_drain_count_until_they_end_however_they_do(tmp_path: Path) -> None:
    with Filter(tmp_path, workers=2, more=_LIMIT_16) as site:
        old = site.workers()
        for client in _connected(site, 3):  # 12 of the 16 MB
            _under_way(client, 4_000_000)
        site.hup()
        until(lambda: "reconfigured" in site.log_text() or len(site.workers()) > len(old), 20, "new workers")
        until(lambda: site.counts()["reloads"] == 1, 20, "the reload")
        (fresh,) = _connected(site, 1)

        def send() -> None:
            _under_way(fresh, 5_000_000)
            assert fresh.end([], b"").verdict == "accept"

        send()
        assert (site.counts()["why-over-memory"], site.counts()["tracked"]) == (1, 0)
        for pid in set(old) & set(site.workers()):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not set(old) & set(site.workers()), 20, "their end")
        send()
        assert (site.counts()["why-over-memory"], site.counts()["tracked"]) == (1, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "203.0.113.9"], ids=["trusted", "strangers"])
def test_h5_45_sessions_of_25_mb_leave_a_worker_of_1_gib_alive(tmp_path: Path, address: str) -> None:
    """At once, as they come and as they end; the memory that a worker may take is set by `ulimit -v`."""
    paragraph = b"<p>" + b"word " * 100 + b"</p>\r\n"
    body = b"<p><a href=https://shop.example/>x</a></p>\r\n" + paragraph * (25_000_000 // len(paragraph))
    with Filter(tmp_path) as site, ThreadPoolExecutor(45) as pool:
        (worker,) = site.workers()
        resource.prlimit(worker, resource.RLIMIT_AS, (2**30, 2**30))
        clients = _connected(site, 45, address)

        def begin(client: MilterClient) -> None:
            client.envelope(b"a@s.test", [b"b@r.test"])
            client.content([*_HTML, ("X-MSYS-API", b' {"campaign_id": "c"}')], body)

        def end(client: MilterClient) -> Answer:
            return client.end(_HTML, b"")

        list(pool.map(begin, clients))
        answers = list(pool.map(end, clients))
        peak = _resident(worker, "VmHWM")
        print(f"peak {peak} kB resident, {_resident(worker, 'VmPeak')} kB of addresses")
        assert site.workers() == [worker], site.log_text()
        assert Counter(answer.verdict for answer in answers) == {"accept": 45}
        counts = site.counts()
        assert peak < 700_000
        if address == "203.0.113.9":
            assert counts["why-untrusted"] == 45
            assert not any(answer.changes for answer in answers)
            assert peak < 60_000
            return
        over = [answer for answer in answers if not answer.body]
        assert counts["why-over-memory"] + counts["why-over-time"] + counts["tracked"] == 45
        assert counts["why-over-memory"] >= 35
        assert len(over) == 45 - counts["tracked"]
        assert {tuple(answer.changes) for answer in over} == {(("delete", "X-MSYS-API", "1"),)}
        until(lambda: _resident(worker) < 120_000, 5, "the memory, given back")
