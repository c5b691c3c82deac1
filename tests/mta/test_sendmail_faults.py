"""What breaks behind a real Sendmail: mail waits, comes once, whole, and with its recipient's links."""

import contextlib
import itertools
import os
import signal
import smtplib
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mta.mta_site import until
from mta.sendmail_site import READDRESS, Site, running
from mta.site_parts import html_mail

pytestmark = pytest.mark.mta

_QUEUE_ONLY = "define(`confDELIVERY_MODE', `queueonly')dnl"
_FAULTY = Path(__file__).with_name("faulty_filter.py")


@pytest.fixture(scope="module")
def queueing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Nothing leaves the queue by itself."""
    with running(tmp_path_factory.mktemp("sendmail"), READDRESS, _QUEUE_ONLY, queue_run="1h") as one:
        yield one


def _run_queue_until(site: Site, done: Callable[[], bool], what: str) -> None:
    """A mail may still be locked by who just wrote it, so the queue is run more than once."""

    def tried() -> bool:
        site.sendmail.run_queue()
        return done()

    until(tried, 30, what)


def _deliver_all(site: Site) -> None:
    _run_queue_until(site, lambda: site.sendmail.waiting() == 0, "the end of the queue")


def _assert_own_copies(site: Site, people: list[str]) -> None:
    for recipient in people:
        (got,) = site.sink.all_for(recipient)
        assert got.recipients == (recipient,)
        assert {one.identity.recipient for one in site.filter.links(got.body)} == {recipient}
        assert b"x-smtpapi-split" not in got.message.lower()


def test_mail_waits_before_the_second_port_while_the_filter_is_away(queueing: Site) -> None:
    people = ["ann@wait.test", "bob@wait.test", "cy@wait.test"]
    queueing.send(people, html_mail())
    queueing.filter.stop()
    queueing.sendmail.run_queue()
    assert queueing.sendmail.waiting() == 1
    assert "Deferred: 451" in "".join(queueing.sendmail.queued())
    assert not any(queueing.sink.all_for(each) for each in people)
    queueing.filter.log.write_bytes(b"")
    queueing.filter.start()
    _deliver_all(queueing)
    _assert_own_copies(queueing, people)


def test_mail_on_its_way_over_the_hop_survives_sendmails_death(queueing: Site) -> None:
    people = ["dee@death.test", "eve@death.test"]
    queueing.send(people, html_mail())
    queueing.sendmail.stop(signal.SIGKILL)
    queueing.sendmail.start()
    _deliver_all(queueing)
    _assert_own_copies(queueing, people)


def test_a_copy_that_the_next_server_puts_off_is_not_tracked_again(queueing: Site) -> None:
    people = ["fay@later.test", "gus@later.test"]
    queueing.sink.answer = lambda recipient: "451 4.2.0 later" if recipient.endswith("@later.test") else ""
    queueing.send(people, html_mail())
    _run_queue_until(
        queueing, lambda: "".join(queueing.sendmail.queued()).count("451 4.2.0") == 2, "both behind the hop"
    )
    queueing.sink.answer = lambda recipient: ""
    _deliver_all(queueing)
    _assert_own_copies(queueing, people)
    events = [event.recipient for event in queueing.filter.injections() if event.recipient in people]
    assert sorted(events) == people


@pytest.mark.parametrize("fault", ["delrcpt", "addrcpt", "addheader"])
def test_a_fault_among_the_changes_of_recipients_is_a_451_and_nothing_is_queued(
    tmp_path: Path, fault: str
) -> None:
    program = (sys.executable, str(_FAULTY), fault)
    with running(tmp_path, READDRESS, program=program) as site:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            site.send(["a@fault.test", "b@fault.test"], html_mail())
        assert refused.value.smtp_code == 451
        site.idle()
        assert site.sink.got == []


def test_nobody_gets_anothers_link_while_workers_are_killed_and_configuration_is_reloaded(
    tmp_path: Path,
) -> None:
    accepted: dict[int, list[str]] = {}
    answers: set[int] = set()
    done = threading.Event()

    def send(number: int) -> None:
        people = [f"k{number}-{place}@kill.test" for place in range(number % 7 + 1)]
        try:
            site.send(people, html_mail(b"<a href=https://shop.example/%d>x</a>\r\n" % number * 3))
        except smtplib.SMTPResponseException as error:
            answers.add(error.smtp_code)
        else:
            accepted[number] = people

    def disturb() -> None:
        """The oldest worker each time: one that dies young is replaced only after a wait."""
        for turn in itertools.count():
            if done.wait(0.6):
                return
            if turn % 3 == 2:
                site.filter.hup()
            elif workers := site.filter.workers():
                with contextlib.suppress(ProcessLookupError):  # it may be gone already
                    os.kill(workers[0], signal.SIGKILL)

    with running(tmp_path, READDRESS, workers=2) as site:
        killer = threading.Thread(target=disturb)
        killer.start()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(100)))
        done.set()
        killer.join()
        people = [who for those in accepted.values() for who in those]
        assert len(accepted) > 50
        assert answers <= {421, 451}
        until(lambda: all(site.sink.all_for(who) for who in people), 30, "all copies")
        site.idle()
        _assert_own_copies(site, people)
        for number, those in accepted.items():
            for who in those:
                opened = site.filter.links(site.sink.all_for(who)[0].body)
                targets = {one.link.target for one in opened if one.link is not None}
                assert targets == {b"https://shop.example/%d" % number}
        assert {who for got in site.sink.got for who in got.recipients} == set(people)
