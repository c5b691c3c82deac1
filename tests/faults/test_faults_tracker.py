"""The tracker killed under load: every answered click and open is stored, and stored once."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.pipeline import Clicker, Pipeline, end, until, workers_of

_LONG = int(os.environ.get("TRACKER_KILLS", "500"))
_CREW = 4


def _progress(crew: list[Clicker]) -> Callable[[], bool]:
    seen = sum(len(each.answered) for each in crew)
    return lambda: sum(len(each.answered) for each in crew) > seen


def _campaign(site: Pipeline, kills: int) -> dict[str, int]:
    """So many kills, every 20th of the whole tracker as a power cut would; then what was counted."""
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    crew = [Clicker(site, f"c{number}", pause=0.002) for number in range(_CREW)]
    done = 0
    process = site.start_tracker()
    try:
        with site.shipper():
            for each in crew:
                each.start()
            while done < kills:
                time.sleep(chance.uniform(0.0, 0.4))
                answered = _progress(crew)
                until(lambda: answered() or process.poll() is not None, 20, f"an answer (seed {seed})")  # noqa: B023 - called within this turn of the loop
                if process.poll() is not None:  # a worker died twice within seconds: a supervisor's work
                    process = site.start_tracker()
                    continue
                if done % 20 == 19:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    process = site.start_tracker()
                    done += 1
                elif workers := workers_of(process):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    done += 1
            if process.poll() is not None:
                process = site.start_tracker()
            totals = end(crew)
            site.drained()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    stored = site.agents()
    missing = sorted(set(totals) - set(stored))
    doubled = sorted(agent for agent, number in stored.items() if number > 1)
    assert not missing, (seed, len(missing), missing[:5])
    assert not doubled, (seed, len(doubled), doubled[:5])
    requested = {f"{each.label}-{number}" for each in crew for number in range(each.requests)}
    assert set(stored) <= requested
    return {
        "kills": done,
        "asked": len(requested),
        "answered": len(totals),
        "stored": len(stored),
        "missing": 0,
        "doubled": 0,
    }


def test_a_tracker_killed_under_load_loses_and_doubles_no_answered_event(tmp_path: Path) -> None:
    totals = _campaign(Pipeline(tmp_path, workers=4), 10)
    assert totals["answered"] > 50


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_tracker_killed_five_hundred_times(tmp_path: Path) -> None:
    totals = _campaign(Pipeline(tmp_path, workers=4), _LONG)
    print(f"\n{totals}")
    assert totals["answered"] > 10 * _LONG
