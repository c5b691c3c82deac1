"""A worker's memory does not grow with the mails it has seen."""

import re
from pathlib import Path

from mta_site import Filter

from milter_client import MilterClient

_MAIL = b"Content-Type: text/html\r\n\r\n<a href=https://shop.example/>x</a>\r\n"
_NEWSLETTER = Path(__file__).parents[2] / "demo" / "newsletter.eml"


def _resident(pid: int) -> int:
    """Kilobytes."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
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


def _under_way(site: Filter, client: MilterClient, size: int) -> None:
    """A message as far as its body, without its end."""
    client.envelope(b"a@s.test", [b"b@r.test"])
    client.content([("Content-Type", b" text/html")], b"<a href=https://shop.example/>x</a>" + b"x" * size)


def test_h5_bodies_of_strangers_are_not_kept(tmp_path: Path) -> None:
    with Filter(tmp_path) as site:
        (worker,) = site.workers()
        clients = [MilterClient(site.socket) for _ in range(12)]
        for client in clients:
            client.connect("203.0.113.9")
        before = _resident(worker)
        for client in clients:
            _under_way(site, client, 8_000_000)
        grown = _resident(worker) - before
        assert grown < 8_000, f"{grown} kB for 96 MB of strangers' bodies"
        assert {client.end([], b"").verdict for client in clients} == {"accept"}
        assert site.counts()["why-untrusted"] == len(clients)


def test_h5_mail_under_way_has_a_limit_over_which_it_passes_untouched(tmp_path: Path) -> None:
    with Filter(tmp_path, more="limits { max_message_size = 16777216 max_memory = 16777216 }") as site:
        (worker,) = site.workers()
        clients = [MilterClient(site.socket) for _ in range(8)]
        for client in clients:
            client.connect()
        before = _resident(worker)
        for client in clients:
            _under_way(site, client, 8_000_000)
        assert _resident(worker) - before < 24_000
        for client in clients:
            answer = client.end([], b"")
            assert (answer.verdict, answer.body) == ("accept", b"")
        assert site.counts()["why-over-memory"] >= 6
        assert client.message(b"a@s.test", [b"b@r.test"], _MAIL).verdict == "accept"
        assert site.counts()["tracked"] >= 1, "there is room again"
