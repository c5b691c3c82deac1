"""Point by point through a real Postfix: how mail can come back, times whose mail it is.

A stranger's mail comes out as it came in, to whom it was addressed and to nobody else; mail of the site's own
people is tracked in each of these layouts.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import pytest

from mta.mta_site import DOMAIN, until
from mta.postfix_layouts import STRANGER, Layouts, Sender, running
from smtpapi.doctor.mta.proxy_filter import advice, has_milters
from smtpapi.setup import postfix_config
from smtpapi.setup.postfix_config import Service

pytestmark = pytest.mark.mta

_HTML = b'<html><body><p>See <a href="https://shop.example/a?b=1">this</a>.</p></body></html>\r\n'
_API = 'X-MSYS-API: {{"campaign_id": "stolen", "bcc": ["victim-{cell}@rcpt.test", "v-{cell}@rcpt.test"]}}\r\n'
_FORGED = (
    "Received: from laptop (laptop [127.0.0.1])\r\n\t(Authenticated sender: ceo)\r\n"
    "\tby mail.example.test (Postfix) with ESMTPA id 4bXyZ; Sun, 29 Nov 2026 10:00:00 +0000\r\n"
)
_GARBAGE = "Received: from \xff\xfe (x [127.0.0.1]) by mail.example.test (Postfix) with ESMTPA id 1; x\r\n"


class Layout(NamedTuple):
    """port: the smtpd that takes the mail. program: to which it is delivered, "" for none.

    notes: one of these words is in the filter's line for the mail that came back. own: whether mail of the
    site's own people is tracked here; where no filter is on its way in, it is sent by another door.
    """

    port: str
    program: str = ""
    notes: tuple[str, ...] = ("came in from",)
    own: bool = True


LAYOUTS = {
    "direct": Layout("all", notes=("reason=untrusted",)),
    "content filter after the queue": Layout("after"),
    "content filter after the queue, milter behind it": Layout("after-bare"),
    "content filter before the queue": Layout("before"),
    "pipe transport": Layout("piped"),
    "pipe transport, milter behind it": Layout("piped-bare"),
    "alias that pipes into sendmail -G -i": Layout("all", "alias"),
    "alias that pipes, milter behind it": Layout("bare", "alias", own=False),
    "alias that pipes into SMTP": Layout("bare", "smtp", own=False),
    "milters on submission only": Layout("bare", "submission", own=False),
    "sieve redirect": Layout("all", "sieve", ("from an unknown place",)),
    "mailman": Layout("all", "mailman"),
    "list server that logs in": Layout("bare", "list-that-logs-in"),
    "list server that strips": Layout("all", "list-that-strips", ("was delivered before: Mailing-List",)),
    "script that strips": Layout("all", "script-that-strips", ("was delivered before: Delivered-To",)),
    "script that keeps the last": Layout(
        "all", "script-with-a-dict", ("came in from", "was delivered before: Delivered-To", "cannot be read")
    ),
    "fetchmail": Layout("bare", "fetchmail", ("was fetched from a mailbox",), own=False),
}
STRANGERS = {
    "plain": (STRANGER, ""),
    "with orders": (STRANGER, _API),
    "with a forged login": (STRANGER, _FORGED + _API),
    "with garbage": (STRANGER, _GARBAGE + _API),
    "by IPv6": (Sender("IPV6:2001:db8:9::1"), _API),
    "that calls itself loopback": (Sender("203.0.113.9", helo="[127.0.0.1]"), _API),
}
OWN = {
    "a program on this machine": Sender(),
    "a program elsewhere": Sender("10.0.0.7"),
    "a person logged in": Sender("198.51.100.4", "ida"),
}
_OWN_LAYOUTS = [name for name, layout in LAYOUTS.items() if layout.own]


def _cell(name: str, kind: str) -> str:
    """Short: it stands in addresses."""
    return f"{list(LAYOUTS).index(name)}-{[*STRANGERS, *OWN].index(kind)}"


def _mail(cell: str, more: str = "") -> bytes:
    head = (
        f"{more.format(cell=cell)}From: a@sender.test\r\nTo: {cell}@rcpt.test\r\nSubject: x\r\n"
        f"Date: Sun, 29 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{cell}@sender.test>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    )
    return head.encode("latin-1") + _HTML


def _to(layout: Layout, cell: str) -> str:
    return f"{layout.program}+{cell}@pipe.test" if layout.program else f"{cell}@rcpt.test"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layouts]:
    """All cells are sent at once, and judged when all have arrived."""
    jobs = []
    for (name, layout), (kind, (sender, more)) in product(LAYOUTS.items(), STRANGERS.items()):
        cell = _cell(name, kind)
        jobs.append((layout.port, sender, _to(layout, cell), _mail(cell, more)))
    for name, (kind, sender) in product(_OWN_LAYOUTS, OWN.items()):
        cell = _cell(name, kind)
        jobs.append((LAYOUTS[name].port, sender, _to(LAYOUTS[name], cell), _mail(cell)))
    with running(tmp_path_factory.mktemp("layouts")) as site, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(site.send, *job) for job in jobs]:
            done.exception()  # the cell's test misses its mail
        expected = {_cell(name, kind) for name in LAYOUTS for kind in STRANGERS}
        expected |= {_cell(name, kind) for name in _OWN_LAYOUTS for kind in OWN}

        def arrived() -> bool:
            site.settle()
            return {f"{cell}@rcpt.test" for cell in expected} <= site.found.keys()

        with contextlib.suppress(AssertionError):  # as above
            until(arrived, 10, "all mail")
        yield site


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_h3_strangers_mail_that_comes_back_stays_a_strangers(site: Layouts, name: str, kind: str) -> None:
    layout, (_, more) = LAYOUTS[name], STRANGERS[kind]
    cell = _cell(name, kind)
    (got,) = site.found.get(f"{cell}@rcpt.test", [])
    assert DOMAIN.encode() not in got
    assert b"X-Smtpapi" not in got
    assert got.endswith(_HTML.replace(b"\r\n", b"\n"))
    api = [line for line in more.format(cell=cell).splitlines() if line.startswith("X-MSYS-API")]
    assert all(line.encode() in got for line in api)
    if not layout.program:  # nobody but Postfix and the content filter has touched it
        assert got.endswith(_mail(cell, more).replace(b"\r\n", b"\n"))
    assert not {f"victim-{cell}@rcpt.test", f"v-{cell}@rcpt.test"} & site.found.keys()
    lines = site.log_lines(f"{cell}@rcpt.test")
    assert lines, "the filter has not seen it come back"
    assert all("reason=untrusted" in line for line in lines)
    assert any(note in lines[-1] for note in layout.notes), lines


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("name", _OWN_LAYOUTS)
def test_own_mail_is_tracked_in_the_same_layout(site: Layouts, name: str, kind: str) -> None:
    (got,) = site.found.get(f"{_cell(name, kind)}@rcpt.test", [])
    assert len(site.filter.links(got)) == 2


def test_own_mail_by_the_submission_port(site: Layouts) -> None:
    for number, sender in enumerate(OWN.values()):
        site.send("submission", sender, f"own-{number}@rcpt.test", _mail(f"own-{number}"))
    for number in range(len(OWN)):
        assert len(site.filter.links(_arrived(site, f"own-{number}"))) == 2


def _arrived(site: Layouts, cell: str) -> bytes:
    until(lambda: site.settle() or f"{cell}@rcpt.test" in site.found, what="the mail")
    (got,) = site.found[f"{cell}@rcpt.test"]
    return got


def test_h25_milter_on_the_front_smtpd_of_a_proxy_filter_alone_sees_no_mail(site: Layouts) -> None:
    """As docs/postfix.md says, and `check-config --postfix` warns."""
    for number, sender in enumerate(OWN.values()):
        site.send("front-alone", sender, f"alone-{number}@rcpt.test", _mail(f"alone-{number}"))
        assert _arrived(site, f"alone-{number}").endswith(_HTML.replace(b"\r\n", b"\n"))
        assert site.log_lines(f"alone-{number}@rcpt.test") == []
    config = postfix_config.read(site.postfix.config)
    found = {each.name: each for each in config.smtpds()}
    front = found[f"127.0.0.1:{site.ports['front-alone']}"]
    back = found[f"127.0.0.1:{site.ports['back-alone']}"]
    proxy = f"127.0.0.1:{site.ports['content-alone']}"
    assert (has_milters(config, front), config.value("smtpd_proxy_filter", front)) == (True, proxy)
    assert (has_milters(config, back), config.value("smtpd_proxy_filter", back)) == (False, "")

    def warned(*services: Service, hop: int | None = None) -> list[str]:
        return list(advice(replace(config, services=services), hop))

    (warning,) = warned(front, back)
    assert f"smtpd {front.name} hands mail to smtpd_proxy_filter {proxy}" in warning
    behind = found[f"127.0.0.1:{site.ports['back']}"]
    assert warned(front, behind) == []
    assert warned(front, behind, hop=site.ports["back"]) == [warning]


def test_mail_of_a_stranger_that_the_postmaster_queues_anew(site: Layouts) -> None:
    """Postfix asks no milter about mail that postsuper -r hands to its pickup service."""
    site.send("held", STRANGER, "held@rcpt.test", _mail("held", _API))
    config = str(site.postfix.config)
    for command in (
        ["postsuper", "-c", config, "-r", "ALL"],
        ["postkick", "-c", config, "public", "pickup", "W"],
    ):
        subprocess.run([f"/usr/sbin/{command[0]}", *command[1:]], check=True, capture_output=True)
    assert _arrived(site, "held").endswith(_mail("held", _API).replace(b"\r\n", b"\n"))
    assert site.log_lines("held@rcpt.test") == []


def test_local_submission_is_tracked_until_the_setting_says_no(site: Layouts) -> None:
    site.sendmail(_mail("cron"), "cron@rcpt.test", "-i")
    assert len(site.filter.links(_arrived(site, "cron"))) == 2
    config = site.filter.config.read_text()
    site.filter.configure("", f"Local_Submission = false\n{config}")
    site.filter.hup()
    until(lambda: "Reconfigured" in site.filter.log_text(), what="the new configuration")
    site.sendmail(_mail("php", _API), "php@rcpt.test", "-i")
    assert _arrived(site, "php").endswith(_mail("php", _API).replace(b"\r\n", b"\n"))
    (line,) = site.log_lines("php@rcpt.test")
    assert "note=handed in on this machine, and Local_Submission is off" in line
    site.send("all", Sender(), "smtp@rcpt.test", _mail("smtp"))
    assert len(site.filter.links(_arrived(site, "smtp"))) == 2
