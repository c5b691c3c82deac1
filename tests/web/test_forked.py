"""A process forked after the first request makes a writer and ids of its own."""

import os
from pathlib import Path

from engagement.links.keys import Ring
from engagement.links.ring_file import save_ring
from engagement.settings import load_file
from tracker_web.server.per_process import PerProcess
from web.web_cases import ask, environ


def test_a_forked_child_builds_its_own(tmp_path: Path) -> None:
    save_ring(tmp_path / "keys", Ring().rotated(bytes(32), 0))
    config = tmp_path / "smtpapi.conf"
    config.write_text(
        f'smtpapi {{ }}\nkeys {{ ring = "{tmp_path}/keys" }}\nspool {{ directory = "{tmp_path}/spool" }}\n'
        f'store {{ path = "{tmp_path}/events.db" }}\ntracker {{ listen = "127.0.0.1:8080" }}\n'
    )
    application = PerProcess(load_file(config), lambda _environ, _start: [])
    request = environ("/robots.txt", host="localhost")
    assert ask(application, request).status == 200
    parents = application._application
    assert parents is not None
    ask(application, request)
    assert application._application is parents

    child = os.fork()
    if child == 0:
        anew = getattr(application, "_application") is None  # noqa: B009 - mypy takes it for what it was before
        answered = anew and ask(application, request).status == 200
        os._exit(0 if answered and application._application is not parents else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert application._application is parents
