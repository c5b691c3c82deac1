"""README's `make run` as its reader types it; and a tracking domain that is entered there, to the click.

It runs in a network of its own, where the name leads to it: the tracker on port 80, and a name server.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mta.make_run import MakeRun
from mta.mta_site import SMTPAPI, until
from shell_blocks import ROOT, script

pytestmark = [pytest.mark.mta, pytest.mark.timeout(300)]
_ENTERED = "news.entered.example"
_UNKNOWN = "young.entered.example"  # leads here, and is not verified
_SECURE = "tls.entered.example"  # where nobody speaks TLS
_NOWHERE = "gone.entered.example"
_NAMES = f"""
import time
from dns_server import DnsServer, zone
DnsServer.fixed_port = 53
names = {(_ENTERED, _UNKNOWN, _SECURE)!r}
with DnsServer(zone("entered.example", *((name, "A", "127.0.0.1") for name in names))):
    time.sleep(600)
"""
_INSIDE = """
ip link set lo up
mount --bind "$RESOLVER" /etc/resolv.conf
"$PROGRAM" -c "$NAMES" &
"""


class Inside:
    """`make run` there, and what is done beside it."""

    def __init__(self, folder: Path) -> None:
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        names = {
            "RESOLVER": str(folder / "resolv.conf"),
            "PROGRAM": sys.executable,
            "NAMES": _NAMES,
            "PYTHONPATH": str(ROOT / "tests/doctor"),
        }
        commands = _INSIDE + script("README.md", "make run")
        self.run = MakeRun(
            folder / "run", 2525, 80, ["unshare", "--net", "--mount", "sh", "-c", commands], names
        )

    def run_inside(self, *arguments: str) -> str:
        """Run a command in its network."""
        network = f"--net=/proc/{self.run.process.pid}/ns/net"
        return subprocess.run(
            ["nsenter", network, *arguments], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the API of its pages."""
        key = (self.run.folder / "api-key").read_text().strip()
        answer = self.run_inside(
            "curl", "-sS", "-X", method, "-H", f"Authorization: {key}",
            "-H", "Content-Type: application/json", "-d", json.dumps(body or {}),
            f"http://127.0.0.1:{self.run.web}/api/v1{path}",
        )  # fmt: skip
        return json.loads(answer) if answer else None

    def link(self, recipient: str) -> str:
        """Send the newsletter to a recipient; return the first link of their mail."""
        self.run_inside(
            str(SMTPAPI), "send", "--server", "127.0.0.1:2525",
            "--to", recipient, str(ROOT / "demo/newsletter.eml"),
        )  # fmt: skip
        until(lambda: self._first_link(recipient), 60, f"the mail to {recipient}")
        return self._first_link(recipient)

    def _first_link(self, recipient: str) -> str:
        for path in (self.run.folder / "maildir").rglob("new/*"):
            text = path.read_text("utf-8", "replace").replace("=\n", "")
            if recipient in text:
                return re.findall(r"https?://[\w.:-]+/f/a/[\w/-]+", text)[0]
        return ""

    def clicked(self, link: str) -> str:
        """Follow a link by its own host; return where it leads."""
        return self.run_inside("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}",
                          "--resolve", f"{_ENTERED}:80:127.0.0.1", link)  # fmt: skip


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    made = Inside(tmp_path)
    try:
        made.run.until("Events as they come", 120)
        yield made
    finally:
        os.killpg(made.run.process.pid, signal.SIGINT)
        made.run.process.wait(60)


def test_a_domain_that_is_entered_is_in_the_next_mail_and_answers(inside: Inside) -> None:
    before = inside.link("before@example.test")
    assert before.startswith("http://localhost")
    assert inside.clicked(before).startswith("302 https://lighthouse.example/")

    inside.call("POST", "/tracking-domains", {"domain": _ENTERED})
    answer = inside.call("POST", f"/tracking-domains/{_ENTERED}/verify", {})["results"]
    assert (answer["verified"], answer["cname_status"]) == (True, "valid"), answer
    inside.call("PUT", f"/tracking-domains/{_ENTERED}", {"default": True})

    check_doctor(inside)

    after, mails, end = "", 0, time.monotonic() + 60
    while not after.startswith(f"http://{_ENTERED}/"):
        assert time.monotonic() < end, after
        mails += 1
        after = inside.link(f"after{mails}@example.test")
    assert inside.clicked(after).startswith("302 https://lighthouse.example/")
    assert inside.clicked(before).startswith("302 https://lighthouse.example/")

    def clicks() -> set[str]:
        found = inside.call("GET", "/events/message?events=click&from=2000-01-01T00:00&to=2100-01-01T00:00")
        return {each.get("rcpt_to") for each in found["results"]}  # none: the doctor's

    until(lambda: {"before@example.test", f"after{mails}@example.test"} <= clicks(), 60, "both clicks")

    inside.call("DELETE", f"/tracking-domains/{_ENTERED}")
    gone, end = after, time.monotonic() + 60
    while _ENTERED in gone:
        assert time.monotonic() < end
        mails += 1
        gone = inside.link(f"after{mails}@example.test")
    assert inside.clicked(after).startswith("302 https://lighthouse.example/"), (
        "a link that was sent works on"
    )


def check_doctor(inside: Inside) -> None:
    """The doctor looks at what was entered as at names of the configuration: DNS, certificate, Host."""
    for name in (_UNKNOWN, _NOWHERE):
        inside.call("POST", "/tracking-domains", {"domain": name})
    inside.call("POST", "/tracking-domains", {"domain": _SECURE, "secure": True})

    folder = inside.run.folder
    inside.run_inside(
        "sh", "-c", f"until grep -q {_ENTERED} {folder}/tracking-domains.json; do sleep 0.1; done"
    )
    output = inside.run_inside(
        "sh", "-c", f"{SMTPAPI} doctor --config {folder}/etc/smtpapi.conf --json --resolver 127.0.0.1 "
        "--only domains,dns,certificate,proxy || [ $? -ne 2 ]",
    )  # fmt: skip
    findings = json.loads(output)["findings"]

    def errors(name: str) -> list[tuple[str, str]]:
        return [
            (each["check"], each["what"].partition(": ")[2])
            for each in findings
            if name in each["what"] and each["level"] == "error"
        ]

    assert errors(_ENTERED) == []
    answered = f"http://{_ENTERED} at 127.0.0.1 port 80: a pixel and a link are answered by the tracker"
    assert answered in {each["what"] for each in findings if each["level"] == "ok"}
    unknown = ("proxy", "the tracker was asked under a name that it does not know")
    assert errors(_UNKNOWN) == [unknown]
    assert errors(_SECURE) == [
        ("certificate", "no TLS on port 443: nobody listens there"),
        unknown,
        ("proxy", "no answer: nobody listens there"),
    ]
    assert errors(_NOWHERE) == [("dns", "there is no such name, says 127.0.0.1")]
