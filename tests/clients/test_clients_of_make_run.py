"""SparkPost's own clients, unchanged, against `make run` as its user starts it; the table of docs/api.md.

Mail that they hand in goes through the real Postfix and the filter of that demonstration. Every day
`test_clients` has the same calls made to `smtpapi web` alone.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
import requests

from clients.client_calls import CALLS, NAMES, PAGE, REFUSED, Results, check_table, every_call, failed_calls
from clients.client_site import Place, with_tls
from engagement.settings import load_file
from mta.make_run import MakeRun
from mta.mta_site import free_port, until
from webhooks.sites import endpoint

pytestmark = [pytest.mark.mta, pytest.mark.long]


class Ran:
    """What every client told that can run here, and the demonstration that it told it of."""

    def __init__(self, run: MakeRun, place: Place) -> None:
        self.run, self.place = run, place
        self.results = every_call(place)

    def mails(self) -> dict[str, Message]:
        """The delivered mails, by recipient."""
        found = {}
        for path in (self.run.folder / "maildir" / "new").iterdir():
            message = message_from_bytes(path.read_bytes())
            found[str(message["X-Original-To"])] = message
        return found

    def events(self, **parameters: str) -> list[Mapping[str, Any]]:
        answer = requests.get(
            f"{self.place.base}/api/v1/events/message",
            params={"from": "2000-01-01T00:00", "to": "2100-01-01T00:00", **parameters},
            headers={"Authorization": self.place.key},
            verify=str(self.place.ca),
            timeout=60,
        )
        found: list[Mapping[str, Any]] = answer.json()["results"]
        return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("clients")
    run = MakeRun(folder / "run", free_port(), free_port())
    try:
        run.until("Events as they come", 60)
        key = (run.folder / "api-key").read_text().strip()
        settings = load_file(run.folder / "etc" / "smtpapi.conf")
        with endpoint() as hook, with_tls(folder, run.web) as base:
            yield Ran(run, Place(folder, settings, base, key, hook))
    finally:
        run.end()


def results_of(ran: Ran, name: str) -> Results:
    if name not in ran.results:
        pytest.skip(f"{NAMES[name]} is not there: .ci/system test, .ci/sparkpost_{name}")
    return ran.results[name]


@pytest.mark.parametrize("name", NAMES)
def test_each_call_is_done(ran: Ran, name: str) -> None:
    assert failed_calls(results_of(ran, name), name) == {}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_offered_is_an_error_that_the_client_tells(ran: Ran, name: str) -> None:
    results = results_of(ran, name)
    assert {call: results[call].get("status") for call in REFUSED[name]} == REFUSED[name]
    assert all(results[call]["error"] for call in REFUSED[name])


@pytest.mark.parametrize("name", NAMES)
def test_mail_comes_through_the_filter_with_what_the_client_asked(ran: Ran, name: str) -> None:
    results_of(ran, name)
    to = f"{name}.to@rcpt.test"
    until(lambda: to in ran.mails(), 60, f"the mail of {name}")
    mail = ran.mails()[to]
    assert mail["X-MSYS-API"] is None
    assert to in mail["To"]
    until(lambda: len(ran.events(recipients=to, events="delivery")) == 1, 60, "its delivery")
    (event,) = ran.events(recipients=to, events="injection")
    assert (event["campaign_id"], event["rcpt_meta"]["from"]) == (f"{name} letter", name)
    assert event["click_tracking"] is False


def test_the_page_has_the_table(ran: Ran) -> None:
    check_table(ran.results)


def test_the_table_names_every_call(ran: Ran) -> None:
    for name, results in ran.results.items():
        assert set(results) == {call for names in CALLS.values() for call in names.get(name, ())} | set(
            REFUSED[name]
        )


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_run_is_that_program() -> None:
    """What is started above is what the Makefile starts."""
    shown = subprocess.run(
        ["make", "-n", "run"], cwd=PAGE.parents[1], capture_output=True, text=True, check=True
    )
    assert shown.stdout.rstrip().endswith("python -m demo.run")
