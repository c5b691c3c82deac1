"""Nobody ever gets another's link, however many are served at once and whatever happens meanwhile."""

import random
import threading
import time
from collections.abc import Iterator

import pytest

from faults.fault_load import Mail, Sent, Verdict, mail, sessions
from faults.fault_site import Site, kill, running

pytestmark = pytest.mark.mta


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(Site(tmp_path_factory.mktemp("crossing"), hop=True, workers=3)) as one:
        yield one


def _mails(name: str, each: int, most: int) -> dict[int, list[Mail]]:
    """For each of 20 sessions, so many mails of like size: the bytes of one could stand in another."""
    rng = random.Random(name)
    return {
        client: [mail(f"{name}c{client}n{number}", rng.randint(1, most), 4000) for number in range(each)]
        for client in range(20)
    }


def _send(site: Site, name: str, each: int, most: int) -> Sent:
    mails, sent = _mails(name, each, most), Sent()
    for thread in sessions(site.ports["in"], 20, lambda client: mails[client], sent):
        thread.join(100)
        assert not thread.is_alive()
    return sent


def _verdict(site: Site, sent: Sent, mails: int) -> Verdict:
    assert len(sent.accepted) == mails
    assert not sent.permanent
    found = site.verdict(sent)
    assert not found.faults, (len(found.faults), found.faults[:10])
    assert found.copies == {"new": sum(len(item.recipients) for item in sent.accepted.values())}
    for file in site.postfix.delivered():
        file.unlink()
    return found


def test_400_mails_to_400_people_over_20_sessions_at_once(site: Site) -> None:
    assert _verdict(site, _send(site, "people", 20, most=1), 400).copies["new"] == 400


def test_mails_to_up_to_20_recipients_over_20_sessions_at_once(site: Site) -> None:
    assert _verdict(site, _send(site, "lists", 3, most=20), 60).copies["new"] > 400


def test_with_workers_killed_and_the_configuration_reloaded_meanwhile(site: Site) -> None:
    """Mail goes on for as long as it takes until both were seen to happen, several times."""
    done, sent, mails = threading.Event(), Sent(), 0
    disturbed = threading.Thread(target=_disturb, args=(site, done))
    disturbed.start()
    end = time.monotonic() + 90
    try:
        while mails == 0 or not _was_disturbed(site, 3):
            assert time.monotonic() < end, site.filter.counts()
            for name, each, most in ((f"pdist{mails}", 10, 1), (f"ldist{mails}", 1, 20)):
                sent.accepted.update(_send(site, name, each, most).accepted)
                mails += 20 * each
    finally:
        done.set()
        disturbed.join()
    _verdict(site, sent, mails)


def _was_disturbed(site: Site, times: int) -> bool:
    counts = site.filter.counts()
    return min(counts.get("workers-died", 0), counts.get("reloads", 0)) >= times


def _disturb(site: Site, done: threading.Event) -> None:
    rng = random.Random(1)
    while not done.wait(0.6):
        site.filter.hup()
        time.sleep(0.6)
        for pid in rng.sample(site.filter.workers(), 1):
            kill(pid)
