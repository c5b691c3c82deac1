"""The follower is killed, at each step and at random under load: each outcome is told, and once.

Bounded here; with -m long FOLLOW_KILLS times (100).
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from engagement.events.model import MessageEvent, recipient_mark
from engagement.events.record import decode
from engagement.spool.read import SpoolReader

_LONG = int(os.environ.get("FOLLOW_KILLS", "100"))
_SMTPAPI = Path(sys.executable).with_name("smtpapi")
NODE = "mail.example.test"


class Site:
    """A log that is written, and its follower."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.log = folder / "mail.log"
        self.config = folder / "smtpapi.conf"
        self.config.write_text(
            f'spool {{ directory = "{folder}/spool" }}\n'
            f'follow {{ log = "{self.log}" node_name = "{NODE}" state = "{folder}/follow.db" }}\n'
        )
        self.expected: Counter[tuple[str, str, int]] = Counter()
        self._rng = random.Random(seed)
        self._number = self._rotated = 0
        self._waiting: list[str] = []

    def mail(self) -> list[str]:
        """The lines of a mail that comes in; a part of them is deferred, and goes on later."""
        self._number += 1
        name = f"4X{self._number:09d}z"
        lines = [
            f"smtpd[1]: {name}: client=x[192.0.2.1]",
            f"cleanup[1]: {name}: message-id=<{name}@example.org>",
            f"qmgr[1]: {name}: from=<s@example.org>, size=10, nrcpt=1 (queue active)",
            self._outcome(name, "deferred" if self._rng.random() < 0.3 else "sent", 0),
        ]
        if "deferred" in lines[-1]:
            self._waiting.append(name)
        else:
            lines.append(f"qmgr[1]: {name}: removed")
        if self._waiting and self._rng.random() < 0.3:
            again = self._waiting.pop(self._rng.randrange(len(self._waiting)))
            lines += [self._outcome(again, "bounced", 1), f"qmgr[1]: {again}: removed"]
        return lines

    def _outcome(self, name: str, status: str, tries: int) -> str:
        kind = {"sent": "delivery", "deferred": "delay", "bounced": "bounce"}[status]
        self.expected[name, kind, tries] += 1
        return (
            f"smtp[1]: {name}: to=<ida@example.net>, relay=mx[203.0.113.9]:25, delay={1 + tries}, "
            f"delays=0/0/0/1, dsn=2.0.0, status={status} (250 ok)"
        )

    def write(self, mails: int) -> None:
        lines = [line for _ in range(mails) for line in self.mail()]
        with self.log.open("a") as file:
            for line in lines:
                file.write(f"2026-11-29T10:00:00.{self._number % 1000000:06d}+00:00 mx postfix/{line}\n")

    def rotate(self) -> None:
        self._rotated += 1
        self.log.rename(self.log.with_name(f"mail.log-{self._rotated:06d}"))

    def once(self) -> None:
        subprocess.run([str(_SMTPAPI), "follow", "--once", "--config", str(self.config)], check=True)

    def recorded(self) -> Counter[tuple[str, str, int]]:
        """What is in the spool: each event once, however often it was told."""
        reader = SpoolReader(self.folder / "spool")
        events: dict[str, MessageEvent] = {}
        while entries := reader.read():
            for entry in entries:
                event = decode(entry.record)
                assert isinstance(event, MessageEvent)
                assert events.setdefault(event.id, event) == event  # told again, it is the same
                assert event.recipient_mark == recipient_mark(NODE, event.queue_id, "ida@example.net")
                assert event.message_id_header == f"<{event.queue_id}@example.org>"
        return Counter((event.queue_id, event.type, event.num_retries) for event in events.values())


@pytest.mark.parametrize("step", ["append", "appended", "safe", "commit", "half", "committed"])
def test_killed_at_each_step_each_outcome_is_told_once(tmp_path: Path, step: str) -> None:
    site = Site(tmp_path, 1)
    site.write(5)
    site.once()
    site.write(60)
    site.rotate()
    site.write(20)
    program = Path(__file__).with_name("follow_program.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(program), str(site.config), *(f"{step}:{number}" for number in (1, 2, 4))],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    lives = [line.split()[1] for line in done.stdout.splitlines() if ":" in line]
    assert lives[0] == "-9"
    assert lives[-1] == "0"
    assert site.recorded() == site.expected


def _killed(site: Site, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            site.write(rng.randint(1, 20))
            if rng.random() < 0.05:
                site.rotate()
            time.sleep(rng.uniform(0, 0.1))

    writer = threading.Thread(target=load)
    site.write(1)
    site.once()  # from here on nothing is rotated away unseen
    writer.start()
    try:
        for _ in range(kills):
            process = subprocess.Popen(
                [str(_SMTPAPI), "follow", "--config", str(site.config)], stderr=subprocess.PIPE
            )
            assert process.stderr is not None
            process.stderr.readline()  # it follows
            time.sleep(rng.uniform(0, 0.5))
            process.kill()
            process.wait()
            process.stderr.close()
    finally:
        stop.set()
        writer.join()
    site.once()
    assert sum(site.expected.values()) > 10 * kills
    recorded = site.recorded()
    assert recorded == site.expected, f"seed {seed}: {recorded - site.expected}, {site.expected - recorded}"


def test_killed_at_random_each_outcome_is_told_once(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    _killed(Site(tmp_path, seed), 4, seed)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_many_times_each_outcome_is_told_once(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    _killed(Site(tmp_path, seed), _LONG, seed)


def test_a_second_follower_of_one_state_says_so_and_ends(tmp_path: Path) -> None:
    """Else the one that has seen less of a message could tell of it last."""
    site = Site(tmp_path, 2)
    site.write(20)
    arguments = [str(_SMTPAPI), "follow", "--config", str(site.config)]
    first = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    try:
        assert first.stderr is not None
        first.stderr.readline()  # it follows
        for more in ([], ["--once"]):
            second = subprocess.run(
                [*arguments, *more], capture_output=True, text=True, timeout=60, check=False
            )
            assert second.returncode == 1
            assert "another follower uses it" in second.stderr
    finally:
        first.kill()
        first.wait()
        if first.stderr:
            first.stderr.close()
    site.once()  # the lock went with its holder
    assert site.recorded() == site.expected
