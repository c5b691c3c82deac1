"""The filter is away, hung, slow or starved: clients or Postfix keep the mail; none is half-changed."""

import os
import re
import resource
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.fault_load import Mail, Sent, Verdict, mail, send
from faults.fault_site import FAULTY, PROGRAM, Site, frozen, running, until

pytestmark = pytest.mark.mta


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A filter that does not answer is given up after 2 s."""
    with running(Site(tmp_path_factory.mktemp("down"), hop=True, silence="2s")) as one:
        yield one


def _answer(site: Site, port: str, item: Mail) -> int:
    """What a client is told at last."""
    with smtplib.SMTP("127.0.0.1", site.ports[port], timeout=30) as smtp:
        try:
            smtp.sendmail("a@sender.test", list(item.recipients), item.message())
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
        except smtplib.SMTPRecipientsRefused as error:
            return max(code for code, _ in error.recipients.values())
    return 250


def _accepted(*mails: Mail) -> Sent:
    return Sent(accepted={item.name: item for item in mails})


def _new(site: Site, *mails: Mail) -> None:
    """All copies of these arrive, once, tracked."""
    found = _only(site, *mails)
    assert not found.faults, found.faults
    assert found.copies == {"new": sum(len(item.recipients) for item in mails)}


def _only(site: Site, *mails: Mail, seconds: float = 40.0) -> Verdict:
    """The verdict on these mails; what others left is taken away."""
    found = site.verdict(_accepted(*mails), seconds)
    for file in site.postfix.delivered():
        file.unlink()
    return found


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> None:
    """What a test that failed left behind is not the next one's."""
    if "site" in request.fixturenames:
        site = request.getfixturevalue("site")
        site.settle(Sent(), 20)
        for file in site.postfix.delivered():
            file.unlink()


def _stays_in_the_queue(site: Site, item: Mail) -> None:
    assert _answer(site, "wait", item) == 250
    time.sleep(2.5)  # Postfix tries again each second
    assert site.postfix.queued() >= 1
    assert not list(site.postfix.delivered())


def test_while_the_filter_is_down_clients_or_the_queue_keep_the_mail(site: Site) -> None:
    site.filter.stop()
    item = mail("down", 3)
    assert _answer(site, "in", mail("down-in", 1)) == 451
    _stays_in_the_queue(site, item)
    site.restart()
    again = mail("down-in", 1)
    assert _answer(site, "in", again) == 250
    _new(site, item, again)


def test_accept_lets_mail_pass_untouched_while_the_filter_is_down(site: Site) -> None:
    """With the header in it: the price of that setting."""
    site.filter.stop()
    item = mail("accept-down", 1)
    assert _answer(site, "accept", Mail(item.name, item.recipients, item.body, with_header=False)) == 250
    site.restart()
    found = _only(site, item)
    assert not found.faults, found.faults
    assert found.copies == {"old": 1}


def test_copies_between_the_passes_wait_for_the_filter(site: Site) -> None:
    """Accepted and marked on the first pass; the filter goes away before the second."""
    smtpd = f"127.0.0.1:{site.ports['hop']}/inet/queue_minfree"
    _postconf(site, f"{smtpd}=1000000000000000")
    item = mail("between", 4)
    assert _answer(site, "in", item) == 250
    until(lambda: site.deferred() == 1, 10, "the deferral")
    site.filter.stop()
    _postconf(site, f"{smtpd}=0")
    time.sleep(2)
    assert site.postfix.queued() >= 1
    assert not list(site.postfix.delivered())
    site.restart()
    _new(site, item)


def _postconf(site: Site, setting: str, *, master: bool = True) -> None:
    flag = "-P" if master else "-e"
    subprocess.run(["/usr/sbin/postconf", "-c", str(site.postfix.config), flag, setting], check=True)
    before = _servers(site)
    site.postfix.reload()
    deadline = time.monotonic() + 20  # one that waits for a client takes it yet, as things were
    while before & _servers(site) and time.monotonic() < deadline:
        time.sleep(0.05)


def _servers(site: Site) -> set[int]:
    """The smtpd processes of this Postfix."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = Path(os.readlink(process / "cwd")).is_relative_to(site.postfix.directory)
            if ours and (process / "comm").read_text() == "smtpd\n":
                found.add(int(process.name))
        except OSError:  # gone
            continue
    return found


def test_a_hung_filter_is_given_up_and_asked_again(site: Site) -> None:
    go_on = frozen(site)
    try:
        assert _answer(site, "in", mail("hung-in", 1)) == 451
        item = mail("hung", 3)
        assert _answer(site, "wait", item) == 250
        time.sleep(3)
        assert not list(site.postfix.delivered())
    finally:
        go_on()
    again = mail("hung-in", 1)
    send(site.ports["in"], [again], Sent())
    _new(site, item, again)


def test_a_socket_that_is_gone_is_back_with_a_restart(site: Site) -> None:
    site.filter.socket.unlink()
    assert _answer(site, "in", mail("gone-in", 1)) == 451
    item = mail("gone", 3)
    _stays_in_the_queue(site, item)
    site.restart()
    _new(site, item)


def _limit(pid: int, kind: int, value: int) -> None:
    _, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (value, hard))


def test_out_of_file_handles(site: Site) -> None:
    """Whatever is accepted is whole; when there are handles again, all goes on."""
    workers = site.filter.workers()
    for pid in workers:
        _limit(pid, resource.RLIMIT_NOFILE, 3)
    try:
        code = _answer(site, "in", mail("handles-in", 1))
        item = mail("handles", 3)
        assert _answer(site, "wait", item) == 250
        time.sleep(2)
        delivered = len(list(site.postfix.delivered()))
    finally:
        for pid in set(workers) & set(site.filter.workers()):
            _limit(pid, resource.RLIMIT_NOFILE, 1024)
    assert (code, delivered) == (451, 0)
    _new(site, item)
    again = mail("handles-in", 1)
    send(site.ports["in"], [again], Sent())
    _new(site, again)


def _fresh_workers(site: Site) -> list[int]:
    """Workers without the free memory that mail of tests before has left them."""
    before = site.filter.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(site.filter.workers()) - set(before)) == len(before), 30, "new workers")
    item = mail("fresh", 1)
    send(site.ports["in"], [item], Sent())
    _new(site, item)
    return site.filter.workers()


def test_out_of_memory(site: Site) -> None:
    """A mail that does not fit goes on untouched, or is put off; the next one is tracked."""
    workers = _fresh_workers(site)
    for pid in workers:
        # Not RLIMIT_AS: the C library has set addresses aside that it may fill as it likes.
        data = re.search(r"VmData:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert data is not None
        _limit(pid, resource.RLIMIT_DATA, int(data[1]) * 1024 + 6_000_000)
    large = mail("memory-large", 1, size=20_000_000)
    large = Mail(large.name, large.recipients, large.body, with_header=False)
    try:
        code = _answer(site, "in", large)
    finally:
        for pid in set(workers) & set(site.filter.workers()):
            _limit(pid, resource.RLIMIT_DATA, resource.RLIM_INFINITY)
    assert code in (250, 451)
    found = _only(site, *([large] if code == 250 else []))
    assert not found.faults, found.faults
    assert found.copies in ({"old": 1}, {})
    counts = site.filter.counts()
    assert code == 451 or counts["failed-before-change"] + counts["why-internal-error"] > 0
    item = mail("memory-after", 2)
    send(site.ports["in"], [item], Sent())
    _new(site, item)


def test_queue_full(site: Site) -> None:
    _postconf(site, "queue_minfree=1000000000000000", master=False)
    try:
        assert _answer(site, "in", mail("full", 2)) == 452
        assert site.postfix.queued() == 0
    finally:
        _postconf(site, "queue_minfree=0", master=False)
    item = mail("full", 2)
    assert _answer(site, "in", item) == 250
    _new(site, item)


def test_a_filter_that_is_too_slow_is_one_that_is_down(tmp_path: Path) -> None:
    with running(
        Site(tmp_path, hop=True, silence="1s", program=(sys.executable, str(FAULTY), "slow"))
    ) as site:
        assert _answer(site, "in", mail("slow-in", 1)) == 451
        item = mail("slow", 3)
        _stays_in_the_queue(site, item)
        site.restart(Site.PROGRAM)
        _new(site, item)


@pytest.mark.parametrize("where", ["die-after-headers", "die-in-body", "die-after-body"])
def test_a_filter_that_dies_in_the_changes(tmp_path: Path, where: str) -> None:
    """With tempfail nothing of it is sent; with accept older Postfix sends, or loses, what it holds of it."""
    dying = mail("x-dies", 1, size=200_000)
    with running(Site(tmp_path, workers=1, program=(*PROGRAM, where))) as site:
        assert _answer(site, "in", dying) == 451
        assert site.postfix.queued() == 0
        assert _answer(site, "accept", dying) == 250
        until(lambda: list(site.postfix.delivered()) or _corrupt(site), 10, "the mail")
        bodies = [file.read_bytes().partition(b"\n\n")[2] for file in site.postfix.delivered()]
        for file in site.postfix.delivered():
            file.unlink()
        healthy = mail("healthy", 1)
        send(site.ports["in"], [healthy], Sent())
        _new(site, healthy)
    if where == "die-in-body" and _version() < (3, 12):
        assert dying.body not in bodies  # half new, half old, or taken out of the queue as corrupt


def _corrupt(site: Site) -> list[Path]:
    return list((site.postfix.queue / "corrupt").iterdir())


def _version() -> tuple[int, ...]:
    text = subprocess.run(
        ["/usr/sbin/postconf", "-h", "-d", "mail_version"], capture_output=True, text=True, check=True
    ).stdout
    return tuple(int(word) for word in text.strip().split("-")[0].split(".")[:2])


def test_the_clock_is_set_back_a_day_between_the_passes(tmp_path: Path) -> None:
    with running(Site(tmp_path, hop=True, program=(*PROGRAM, "clock"))) as site:
        smtpd = f"127.0.0.1:{site.ports['hop']}/inet/queue_minfree"
        _postconf(site, f"{smtpd}=1000000000000000")
        item, later = mail("clock", 3), mail("clock-later", 3)
        assert _answer(site, "in", item) == 250
        until(lambda: site.deferred() == 1, 10, "the deferral")
        (site.filter.folder / "clock-back").touch()
        _postconf(site, f"{smtpd}=0")
        assert _answer(site, "in", later) == 250
        _new(site, item, later)
        ids = [event.id for event in site.filter.injections()]
        assert len(set(ids)) == len(ids) == 6
