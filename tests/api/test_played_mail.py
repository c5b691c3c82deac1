"""A thousand mails through `make run`, read by people, proxies, scanners and nobody: every way out agrees.

What was played is counted here while it is played; then the API, `smtpapi stats`, the pages' CSV, the events'
CSV and a webhook's sink are asked, each by itself.
"""

import csv
import http.client
import io
import json
import re
import smtplib
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from engagement.figures.definitions import FIGURES
from mta.make_run import MakeRun
from mta.mta_site import free_port, until
from webhooks.sites import Endpoint, endpoint

pytestmark = pytest.mark.mta

MAILS = 1000
SIDES = ("people", "unsure", "machine")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))"
# What is done with each mail of ten: method, agent, whether it is the link. None repeats another.
PLAYED: tuple[tuple[tuple[str, str, bool], ...], ...] = (
    (("GET", BROWSER, False), ("GET", BROWSER, True)),
    (("GET", BROWSER, False), ("GET", BROWSER, True)),
    (("GET", BROWSER, False),),
    (("GET", BROWSER, False),),
    (("GET", PROXY, False), ("GET", BROWSER, True)),
    (("GET", PROXY, False),),
    (("GET", SCANNER, True),),
    (("GET", "", False),),
    (),
    (("HEAD", BROWSER, True),),
)
MAIL = """\
From: news@example.test
To: {who}
Subject: Played
Message-ID: <{who}>
MIME-Version: 1.0
X-MSYS-API: {{"campaign_id": "played", "tags": ["played", "again"]}}
Content-Type: text/html; charset=utf-8

<!DOCTYPE html><html><body><p><a href="https://shop.example/a">look</a></p></body></html>
"""


@dataclass
class Played:
    """What happened. events: by type; figures: those that follow without any rule."""

    events: Counter[str] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    made = MakeRun(tmp_path_factory.mktemp("played") / "run", free_port(), free_port())
    try:
        made.until("Events as they come", 60)
        yield made
    finally:
        made.end()


def send(run: MakeRun) -> None:
    with smtplib.SMTP("127.0.0.1", run.smtp, timeout=60) as smtp:
        for number in range(MAILS):
            who = f"reader{number}@example.test"
            smtp.sendmail("news@example.test", [who], MAIL.format(who=who))


def delivered(run: MakeRun) -> dict[int, bytes]:
    """The mails by their reader's number, without the newsletter that `make run` sends."""
    found = {}
    for path in (run.folder / "maildir" / "new").iterdir():
        message = path.read_bytes()
        to = re.search(rb"^To: reader(\d+)@", message, re.MULTILINE)
        if to:
            found[int(to[1])] = message
    return found


def addresses(message: bytes) -> tuple[str, str]:
    """The paths of its pixel and its link, as a mail reader finds them."""
    body = message_from_bytes(message, policy=policy.default).get_content()
    (link,) = re.findall(r'<a href="https?://[^/"]+(/f/[^"]+)"', body)
    pixels = re.findall(r'src="https?://[^/"]+(/q/[^"]+)"', body)
    return pixels[-1], link


def play(run: MakeRun, mails: dict[int, bytes]) -> Played:
    truth = Played(Counter(injection=MAILS, delivery=MAILS))
    truth.figures.update(count_injected=MAILS, count_delivered=MAILS, x_count_tracked=MAILS)
    tracker = http.client.HTTPConnection("127.0.0.1", run.http, timeout=30)
    for number, message in sorted(mails.items()):
        pixel, link = addresses(message)
        done = PLAYED[number % 10]
        for method, agent, is_link in done:
            headers = {
                "Host": f"localhost:{run.http}",
                "User-Agent": agent,
                "X-Forwarded-For": f"198.51.{100 + number // 250}.{number % 250 + 1}",
            }
            tracker.request(method, link if is_link else pixel, headers=headers)
            answer = tracker.getresponse()
            answer.read()
            assert answer.status == (302 if is_link else 200)
            truth.events["click" if is_link else "open"] += 1
            truth.figures["x_count_recorded_clicked" if is_link else "x_count_recorded_rendered"] += 1
            if method == "GET":
                truth.figures["count_clicked" if is_link else "count_rendered"] += 1
                truth.figures["count_unique_clicked" if is_link else "count_unique_rendered"] += 1
        truth.figures["count_unique_confirmed_opened"] += any(method == "GET" for method, _, _ in done)
    tracker.close()
    return truth


def call(run: MakeRun, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{run.web}/api/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": (run.folder / "api-key").read_text().strip(),
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["results"]


def smtpapi(run: MakeRun, *arguments: str) -> str:
    program = str(Path(sys.executable).with_name("smtpapi"))
    config = str(run.folder / "etc" / "smtpapi.conf")
    command = [program, arguments[0], "--config", config, *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def by_api(run: MakeRun) -> dict[str, int]:
    parameters = f"from=2000-01-01T00:00&campaigns=played&precision=day&metrics={','.join(FIGURES)}"
    (row,) = call(run, f"/metrics/deliverability?{parameters}")
    return {name: number for name, number in row.items() if number}


def by_group(run: MakeRun, group: str, key: str) -> dict[str, dict[str, int]]:
    """The figures of each value that a group has."""
    parameters = f"from=2000-01-01T00:00&precision=day&metrics={','.join(FIGURES)}"
    rows = call(run, f"/metrics/deliverability/{group}?{parameters}")
    return {row.pop(key): {name: number for name, number in row.items() if number} for row in rows}


def by_command(run: MakeRun) -> dict[str, int]:
    printed = json.loads(
        smtpapi(run, "stats", "--campaign", "played", "--precision", "day", "--json").splitlines()[0]
    )
    return {name: number for name, number in printed.items() if name in FIGURES and number}


def by_page(run: MakeRun) -> dict[str, str]:
    """The row of the campaign in the CSV of its page."""
    token = re.search(r"token=(\S+)", (run.folder / "web-url").read_text())
    assert token is not None
    request = urllib.request.Request(
        f"http://localhost:{run.web}/campaigns?export=csv", headers={"Authorization": f"Bearer {token[1]}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))
    return next(row for row in rows if row["campaign"] == "played")


def sunk(hook: Endpoint) -> dict[str, dict[str, Any]]:
    """Events that a webhook's target got, each once, by id."""
    found = {}
    for request in list(hook.requests):
        for wrapped in json.loads(request.body):
            for event in wrapped["msys"].values():
                if event.get("campaign_id") == "played":
                    found[event["event_id"]] = event
    return found


def test_every_way_out_tells_what_was_played(run: MakeRun) -> None:
    with endpoint() as hook:
        types = ["injection", "delivery", "open", "click"]
        call(run, "/webhooks", {"name": "sink", "target": hook.url, "events": types})
        send(run)
        until(lambda: len(delivered(run)) == MAILS, 120, "a thousand delivered mails")
        truth = play(run, delivered(run))
        expected = dict(truth.figures)
        until(lambda: expected.items() <= by_api(run).items(), 120, f"{expected} in {by_api(run)}")
        events = sum(truth.events.values())
        until(lambda: len(sunk(hook)) == events, 120, "all events in the sink")
        assert Counter(event["type"] for event in sunk(hook).values()) == truth.events
        assert by_command(run) == by_api(run)
        senders, tags = by_group(run, "sending-domain", "sending_domain"), by_group(run, "tag", "tag")
        assert senders["example.test"] == tags["played"] == tags["again"] == by_api(run)
        page = by_page(run)
        assert {name: int(page[name]) for name in page if name in FIGURES} == {
            name: by_api(run).get(name, 0) for name in page if name in FIGURES
        }
        assert Counter(row["type"] for row in printed_events(run)) == truth.events
        assert {row["event_id"] for row in printed_events(run)} == set(sunk(hook))
        # Hits are judged once more when others came in; figures and labels change together.
        until(
            lambda: sides(by_api(run)) == classes(printed_events(run)),
            60,
            f"{by_api(run)} {classes(printed_events(run))}",
        )


def printed_events(run: MakeRun) -> list[dict[str, str]]:
    text = smtpapi(run, "events", "--campaign", "played", "--csv", "--limit", "10000")
    return list(csv.DictReader(io.StringIO(text)))


def sides(figures: dict[str, int]) -> Counter[str]:
    """Hits by people, unsure and by machines, as figures tell them."""
    names = ("rendered", "clicked")
    found = {side: sum(figures.get(f"x_count_{side}_{name}", 0) for name in names) for side in SIDES}
    return Counter(found)


def classes(rows: list[dict[str, str]]) -> Counter[str]:
    """The same, from each event's own class."""
    found = Counter(dict.fromkeys(SIDES, 0))
    for row in rows:
        client, certain = row["x_client_class"], row.get("x_client_certain") != "false"
        if not client or client == "probe":
            continue
        if client in ("human", "proxy"):
            found["people"] += 1
        else:
            found["machine" if certain and client != "unknown" else "unsure"] += 1
    return found
