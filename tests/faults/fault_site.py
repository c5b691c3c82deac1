"""A private Postfix and a filter to break, with and without the hop."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults.fault_load import Sent, Verdict, judge
from mta.mta_site import DOMAIN, SMTPAPI, Filter, free_port, open_folders, until
from mta.site_parts import need_postfix
from private_mta.postfix import PrivatePostfix, Smtpd

MILTER = (
    "{{ unix:milter/milter.sock, connect_timeout={0}, command_timeout={0}, content_timeout={0}, "
    "default_action={1} }}"
)
FAULTY = Path(__file__).parents[1] / "mta" / "faulty_filter.py"
PROGRAM = (sys.executable, str(Path(__file__).with_name("fault_program.py")))


class Site:
    """Ports: in (filter in place), accept (the same, default_action=accept), wait (no filter but the hop).

    With hop, mail to several recipients of `in` takes it, too.
    """

    PROGRAM = (str(SMTPAPI),)

    def __init__(
        self,
        folder: Path,
        *,
        hop: bool = False,
        workers: int = 2,
        program: tuple[str, ...] = PROGRAM,
        more: str = "",
        options: dict[str, str] | None = None,
        silence: str = "10s",
    ) -> None:
        need_postfix()
        folder.mkdir(parents=True, exist_ok=True)
        open_folders(folder)
        self.folder = folder
        self.ports = {name: free_port() for name in ("in", "accept", "wait", "hop")}
        tempfail = {"smtpd_milters": MILTER.format(silence, "tempfail")}
        smtpds = [
            Smtpd(self.ports["in"], tempfail),
            Smtpd(self.ports["accept"], {"smtpd_milters": MILTER.format(silence, "accept")}),
        ]
        if hop:
            smtpds.append(
                Smtpd(self.ports["wait"], {"content_filter": f"split:[127.0.0.1]:{self.ports['hop']}"})
            )
        waiting = {
            "queue_run_delay": "1s",
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "1s",
            "smtpd_error_sleep_time": "0",
        }
        hop_milters = {"smtpapi_hop_milters": MILTER.format(silence, "tempfail")} if hop else {}
        self.postfix = PrivatePostfix(
            folder / "postfix",
            smtpds,
            maildir=folder / "maildir",
            options=waiting | hop_milters | (options or {}),
            hop_port=self.ports["hop"] if hop else None,
        )
        rewriting = (
            f'rewriting {{ several_recipients = split split_listener = "127.0.0.1:{self.ports["hop"]}" }}'
        )
        listener = f"""
ESMTP_Listener {{
  tracking_domain = "{DOMAIN}" click_tracking_enabled = true open_tracking_enabled = true
  {" ".join(f'Listen ":{port}" {{ }}' for port in self.ports.values())}
}}
"""
        self.filter = Filter(
            folder / "filter",
            listener,
            workers=workers,
            socket_path=self.postfix.milter_socket,
            program=program,
            more=(rewriting if hop else "") + more,
        )

    def restart(self, program: tuple[str, ...] | None = None) -> None:
        """Stop the filter if it runs, and start it, or another one."""
        if not self.filter.ended():
            self.filter.stop()
        self.filter.log.unlink()  # so that "ready" is the new one's
        if program is not None:
            self.filter._program = program
        self.filter.start()

    def deferred(self) -> int:
        """How many mails wait for their next try."""
        return sum(path.is_file() for path in (self.postfix.queue / "deferred").rglob("*"))

    def settle(self, sent: Sent, seconds: float = 60.0) -> None:
        """Wait until the queue is empty."""
        expected = sum(len(item.recipients) for item in sent.accepted.values())
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(10):
                arrived = sent.unsure or len(list(self.postfix.delivered())) >= expected
                if self.postfix.queued() == 0 and arrived:
                    return
                time.sleep(0.2)
            self.postfix.flush()  # Postfix looks late after what a reload interrupted

    def verdict(self, sent: Sent, seconds: float = 60.0) -> Verdict:
        """Wait for the deliveries and judge them."""
        self.settle(sent, seconds)
        found = judge(self.postfix.delivered(), sent, self.filter.ring)
        if found.faults:
            found.faults.append(f"in the queue: {self.postfix.queued()}; {self.postfix.last_lines(3)}")
        return found


@contextmanager
def running(site: Site) -> Iterator[Site]:
    with site.postfix, site.filter:
        yield site


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Whether there was one to kill."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def frozen(site: Site) -> Callable[[], None]:
    """Stops all processes of the filter; the result lets them go on."""
    assert site.filter.process is not None
    pids = [site.filter.process.pid, *site.filter.workers()]
    for pid in pids:
        kill(pid, signal.SIGSTOP)

    def go_on() -> None:
        for pid in pids:
            kill(pid, signal.SIGCONT)

    return go_on


__all__ = ["FAULTY", "PROGRAM", "Site", "frozen", "kill", "running", "until"]
