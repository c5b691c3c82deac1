"""The program is killed under load while the endpoint fails at random: no event is lost (contract.md 8.2).

What holds whatever is killed when: every event is in a batch that was answered with 200; a repeat has the id
and the octets of the batch before, and no event is in two batches; batches by their number are the events in
the order of their arrival. Batches may be answered in another order, as one that failed is tried later.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from engagement.events.model import Hit
from unit.event_samples import hit
from webhooks.sites import TIMEOUT, Endpoint, Request, Site, endpoint, site

_TAKEOVER = 2  # the least that may be set


def _config(folder: Path) -> Path:
    path = folder / "smtpapi.conf"
    path.write_text(
        f'store {{ path = "{folder}/events.db" }} registry {{ path = "{folder}/registry.db" }}\n'
        f'webhooks {{ allow_targets = ("127.0.0.1") batch_time = 0 retry_after = 1 takeover = {_TAKEOVER} '
        "timeout = 2 batch_events = 50 }\n"
    )
    return path


def _started(config: Path) -> subprocess.Popen[bytes]:
    program = "from smtpapi.commands import main; main()"
    with (config.parent / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", program, "webhooks", "--config", str(config)], stderr=log
        )


def _more_than(seen: int, found: list[Request]) -> bool:
    return len(found) > seen


class _Load:
    """Adds events as the shipper does, some at a time, until told to end."""

    def __init__(self, here: Site, chance: random.Random) -> None:
        self.events: list[Hit] = []
        self._here, self._chance, self._end = here, chance, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(self._chance.uniform(0, 0.2)):
            made = [hit() for _ in range(self._chance.randint(1, 20))]
            self._here.add(*made)
            self.events += made

    def end(self) -> list[Hit]:
        self._end.set()
        self._thread.join(TIMEOUT)
        return self.events


def _ids(body: bytes) -> list[str]:
    return [fields["event_id"] for event in json.loads(body) for fields in event["msys"].values()]


def _check(here: Site, webhook: str, events: list[Hit], came: list[Request]) -> None:
    good = {each.batch: each.body for each in came if each.status == 200}
    assert {event.id for event in events} - {each for body in good.values() for each in _ids(body)} == set()
    assert {each.batch for each in came if each.batch in good and each.body != good[each.batch]} == set()
    order = [stored.batch.id for stored in here.documents.batches(webhook)]
    assert set(good) == set(order)
    assert [each for batch in order for each in _ids(good[batch])] == [event.id for event in events]


def _play(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    lock = threading.Lock()

    def answer(path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        with lock:
            dice = chance.random()
        if dice < 0.1:
            time.sleep(0.5)  # so that it is killed while it waits for an answer
        return (500 if dice < 0.3 else 200), {}, b""

    with site(folder) as here, endpoint(answer=answer) as hook:
        webhook = here.create(hook.url)
        config = _config(folder)
        load = _Load(here, chance)
        for _ in range(kills):
            seen = len(hook.batches)
            program = _started(config)
            if chance.random() < 0.8:  # else it is killed before it has sent anything
                hook.wait(partial(_more_than, seen))
            time.sleep(chance.uniform(0, 0.6))
            os.kill(program.pid, signal.SIGKILL)
            program.wait()
        events = load.end()
        hook.answer = lambda path, body: (200, {}, b"")
        _finish(config, hook, {event.id for event in events})
        _check(here, webhook, events, hook.batches)


def _finish(config: Path, hook: Endpoint, expected: set[str]) -> None:
    """Have what is left sent, and the program end in order."""
    program = _started(config)
    looked_at = 0

    def is_done(found: list[Request]) -> bool:
        nonlocal looked_at
        for request in found[looked_at:]:
            if request.status == 200:
                expected.difference_update(_ids(request.body))
        looked_at = len(found)
        return not expected

    try:
        hook.wait(is_done)
    finally:
        program.terminate()
        assert program.wait(TIMEOUT) == 0


def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    _play(tmp_path, kills=4, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_kills_lose_nothing(tmp_path: Path) -> None:
    _play(tmp_path, kills=200, seed=2)
