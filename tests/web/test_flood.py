"""One client that asks for one link without pause: each answered click is counted, in little room."""

import socket
import threading
import time
from pathlib import Path

import pytest

from engagement.events.model import Hit
from engagement.events.record import decode
from engagement.spool.names import directory_size
from engagement.spool.read import SpoolReader
from web.servers import HOST, Site, kill_all, make_site, running
from web.web_cases import token


class Flood(threading.Thread):
    """Clicks over one connection at a time until told that it is over, and counts the answers."""

    def __init__(self, site: Site, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.site, self.over = site, over
        self.answered = 0
        self.path = f"/f/a/{token()}"

    def run(self) -> None:
        request = f"GET {self.path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Firefox/140.0\r\n\r\n".encode()
        while not self.over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.site.port), timeout=10) as connection:
                    while not self.over.is_set():
                        connection.sendall(request)
                        answer = b""
                        while b"\r\n\r\n" not in answer:
                            chunk = connection.recv(65536)
                            if not chunk:
                                raise ConnectionError
                            answer += chunk
                        self.answered += answer.startswith(b"HTTP/1.1 302")
            except OSError:  # killed before it answered
                time.sleep(0.01)


@pytest.mark.parametrize("sync", ["group", "always"])
def test_h6_a_flood_of_one_link_is_counted_whole_whatever_is_killed(tmp_path: Path, sync: str) -> None:
    """kill -9 in the middle, twice, then an ordinary end."""
    site = make_site(tmp_path)
    site.config.write_text(site.config.read_text().replace("spool {", f"spool {{ sync = {sync}"))
    over = threading.Event()
    flood = Flood(site, over)
    flood.start()
    for number in range(3):
        with running(site) as process:
            time.sleep(1.0)
            if number < 2:
                kill_all(process)
            else:
                over.set()
                flood.join(timeout=30)
    hits: dict[str, int] = {}
    size = directory_size(site.spool)
    reader = SpoolReader(site.spool)
    while entries := reader.read():
        for event in (decode(entry.record) for entry in entries):
            assert isinstance(event, Hit)
            hits[event.id] = event.hits
    # What was recorded and then killed before it was answered is one for each kill at most.
    assert flood.answered <= sum(hits.values()) <= flood.answered + 2
    assert flood.answered > 200
    assert size < 10_000
