"""The filter is killed at random moments under load: no mail is lost, doubled, mixed or half-changed.

Bounded here; `make faults` does it a thousand times each way. FAULT_KILLS overrides the number.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from faults.fault_load import Mail, Sent, Verdict, mail, sessions, sizes
from faults.fault_site import Site, kill, running, until

pytestmark = pytest.mark.mta

_LONG = int(os.environ.get("FAULT_KILLS", "1000"))


def _load(client: int, seed: int, most: int, pause: float) -> Iterator[Mail]:
    rng = random.Random(f"{seed} {client}")
    for number in count():
        time.sleep(rng.uniform(0, 2 * pause))
        yield mail(f"s{seed}c{client}n{number}", rng.randint(1, most), sizes(rng))


def _kills(site: Site, sent: Sent, kills: int, most: int, pause: float = 0.0) -> int:
    """So many kills under load of eight clients; every 20th is the parent's. The seed, to repeat it."""
    seed = random.SystemRandom().randrange(10**6)
    rng = random.Random(seed)
    stopping: list[bool] = []
    orphans: dict[int, int] = {}  # of killed parents: when each process began
    mails = partial(_load, seed=seed, most=most, pause=pause)
    threads = sessions(site.ports["in"], 8, mails, sent, lambda: bool(stopping))
    done = seen = 0
    while done < kills:
        time.sleep(rng.uniform(0.0, 0.3))
        until(lambda: len(sent.accepted) > seen, 60, "a mail between two kills")  # noqa: B023 - called within this turn of the loop
        seen = len(sent.accepted)
        if done % 20 == 19:
            assert site.filter.process is not None
            orphans |= {pid: _began(pid) for pid in site.filter.workers()}
            site.filter.process.kill()
            site.filter.process.wait()
            done += 1
            site.filter.log.unlink()
            until(lambda: _started(site), 30, "a new filter")
            continue
        # A worker that dies within a second of its birth is replaced ever more slowly: not what is asked.
        workers = [pid for pid in site.filter.workers() if _age(pid) > 1]
        done += bool(workers) and kill(rng.choice(workers))
    stopping.append(True)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a client hangs"
    gone = partial(_are_gone, orphans)
    until(gone, 90, "the end of all workers whose parent was killed")
    return seed


def _are_gone(processes: dict[int, int]) -> bool:
    return not any(began and _began(pid) == began for pid, began in processes.items())


def _began(pid: int) -> int:
    """When a process began, in ticks since the machine did; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def _age(pid: int) -> float:
    """Seconds since a process began; 0 if it is gone."""
    began = _began(pid)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK") if began else 0.0


def _started(site: Site) -> bool:
    """The workers of a killed parent may answer for some seconds yet; then it starts."""
    try:
        site.filter.start()
    except AssertionError:
        return False
    return True


def _check(found: Verdict, sent: Sent, seed: int, least: int) -> None:
    assert not found.faults, (seed, len(found.faults), found.faults[:10])
    assert not sent.permanent
    assert len(sent.accepted) >= least
    print(f"\n{len(sent.accepted)} mails, copies {dict(found.copies)}, 4xx {dict(sent.temporary)}")


def test_kills_in_place_with_one_recipient(tmp_path: Path) -> None:
    """Answers are 250 or 4xx; what was accepted is wholly new, as the filter was asked each time."""
    with running(Site(tmp_path, workers=4)) as site:
        sent = Sent()
        seed = _kills(site, sent, 25, most=1)
        found = site.verdict(sent)
    _check(found, sent, seed, 25)
    assert not sent.unsure
    assert found.copies["old"] == 0


def test_kills_in_place_with_several_recipients_and_no_hop(tmp_path: Path) -> None:
    with running(Site(tmp_path, workers=4)) as site:
        sent = Sent()
        seed = _kills(site, sent, 8, most=20)
        found = site.verdict(sent)
    _check(found, sent, seed, 8)


def test_kills_with_the_hop_and_up_to_20_recipients(tmp_path: Path) -> None:
    """The first pass gives 250 or 4xx; what it accepted waits in Postfix's queue until it comes through."""
    with running(Site(tmp_path, hop=True, workers=4)) as site:
        sent = Sent()
        seed = _kills(site, sent, 25, most=20)
        found = site.verdict(sent)
    _check(found, sent, seed, 10)
    assert found.copies["old"] == 0


def _campaign(site: Site, kills: int, most: int) -> Counter[str]:
    """Kills in portions, each judged when its mail has come through. What was counted."""
    total: Counter[str] = Counter()
    while total["kills"] < kills:
        sent = Sent()
        number = min(50, kills - total["kills"])
        seed = _kills(site, sent, number, most, pause=0.1)
        found = site.verdict(sent, 300)
        assert not found.faults, (seed, total, found.faults[:10])
        assert not sent.permanent
        assert not sent.unsure
        total.update(found.copies)
        total.update({"kills": number, "mails": len(sent.accepted), "4xx": sum(sent.temporary.values())})
        for file in site.postfix.delivered():
            file.unlink()
        print(dict(total), flush=True)
    return total


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_kills_with_the_hop(tmp_path: Path) -> None:
    with running(Site(tmp_path, hop=True, workers=4)) as site:
        total = _campaign(site, _LONG, most=20)
    assert total["old"] == 0
    assert total["mails"] > _LONG


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_kills_in_place(tmp_path: Path) -> None:
    with running(Site(tmp_path, workers=4)) as site:
        total = _campaign(site, _LONG, most=1)
    assert total["old"] == 0
    assert total["mails"] > _LONG
