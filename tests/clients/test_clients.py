"""SparkPost's own clients, unchanged, against the running program; and the table of docs/api.md."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from cassandra_site import Node
from clients.client_site import ClientSite, Place, client_site, commands
from contract.store_samples import Telling
from engagement.links.model import Kind
from engagement.stores import open_store
from mta.smtp_sink import Delivery
from web.servers import ROOT

PAGE: Final = ROOT / "docs/api.md"
FROM: Final = "2026-10-26T00:00"
NAMES: Final = {
    "python": "PyPI `sparkpost` 1.3.10",
    "node": "npm `sparkpost` 2.1.4",
    "go": "Go `gosparkpost` v0.2.0",
    "anymail": "`django-anymail` 15.2",
}
# Each call of the API with the clients' names for it.
CALLS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "POST /transmissions": {
        "python": ("transmissions.send", "transmissions.send (email_rfc822)"),
        "node": ("transmissions.send",),
        "go": ("Send",),
        "anymail": ("send", "send (merge data)"),
    },
    "GET /events/message": {"node": ("events.searchMessage",)},
    "GET /message-events": {"node": ("messageEvents.search",), "go": ("MessageEventsSearch, Next",)},
    "GET /message-events/events/samples": {"go": ("EventSamples",)},
    "GET /metrics/campaigns": {"python": ("metrics.campaigns.list",)},
    "GET /metrics/domains": {"python": ("metrics.domains.list",)},
    "GET /metrics/deliverability": {"go": ("QueryMetrics ()",)},
    "GET /metrics/deliverability/campaign": {"go": ("QueryMetrics (campaign)",)},
    "GET /metrics/deliverability/time-series": {"go": ("QueryMetrics (time-series)",)},
    "GET /metrics/deliverability/domain": {"go": ("QueryMetrics (domain)",)},
    "GET /metrics/deliverability/bounce-classification": {"go": ("QueryMetrics (bounce-classification)",)},
    "GET /suppression-list": {
        "python": ("suppression_list.list",),
        "node": ("suppressionList.list",),
        "go": ("SuppressionSearch", "SuppressionList"),
    },
    "PUT /suppression-list": {
        "python": ("suppression_list.create (several)",),
        "node": ("suppressionList.upsert",),
        "go": ("SuppressionUpsert",),
    },
    "GET /suppression-list/ADDRESS": {
        "python": ("suppression_list.get",),
        "node": ("suppressionList.get",),
        "go": ("SuppressionRetrieve",),
    },
    "PUT /suppression-list/ADDRESS": {"python": ("suppression_list.create", "suppression_list.update")},
    "DELETE /suppression-list/ADDRESS": {
        "python": ("suppression_list.delete",),
        "node": ("suppressionList.delete",),
        "go": ("SuppressionDelete",),
    },
    "GET /webhooks": {"node": ("webhooks.list",), "go": ("Webhooks",)},
    "POST /webhooks": {"node": ("webhooks.create",)},
    "GET /webhooks/ID": {"node": ("webhooks.get",), "go": ("WebhookDetail",)},
    "PUT /webhooks/ID": {"node": ("webhooks.update",)},
    "DELETE /webhooks/ID": {"node": ("webhooks.delete",)},
    "POST /webhooks/ID/validate": {"node": ("webhooks.validate",)},
    "GET /webhooks/ID/batch-status": {"node": ("webhooks.getBatchStatus",), "go": ("WebhookStatus",)},
    "GET /webhooks/events/documentation": {
        "node": ("webhooks.getDocumentation",),
        "go": ("EventDocumentation",),
    },
    "GET /webhooks/events/samples": {"node": ("webhooks.getSamples",)},
}
# What is refused, with its status: there are no templates, and no list of what was sent.
REFUSED: Final[Mapping[str, Mapping[str, int | None]]] = {
    "python": {"transmissions.send (template)": 422, "transmissions.list": 405},
    "node": {"transmissions.send (template)": 422, "transmissions.list": 405},
    "go": {"Send (template)": 422, "Transmissions": 405},
    "anymail": {"send (template)": None},
}

Told = Mapping[str, Mapping[str, Any]]


class Played:
    """What every client that can run here told, and the place that it told it of."""

    def __init__(self, place: ClientSite) -> None:
        self.place = place
        self.told = every_call(place)

    def mails(self, name: str) -> dict[str, Delivery]:
        """The mails of a client's domain of recipients, by recipient."""
        return {
            each.recipients[0]: each for each in self.place.sink.got if each.recipients[0].startswith(name)
        }


def every_call(place: Place) -> dict[str, Told]:
    """What every client that can run here tells of all its calls."""
    _events(place)
    more = {"from": FROM, "webhook": _webhook(place)}
    return {name: place.run(command, **more) for name, command in commands().items()}


def _events(place: Place) -> None:
    """Five hits, so that pages of two are three."""
    telling = Telling()
    rows = [
        row
        for number in range(5)
        for row in telling.hit(
            Kind.CLICK if number % 2 else Kind.OPEN, number * 1000, message=number + 1, tags=("one", "two")
        )
    ]
    store = open_store(place.settings, writing=True)
    try:
        store.add(rows)
        store.roll_up()
    finally:
        store.close()


def _webhook(place: Place) -> str:
    """A webhook that is there while the clients look."""
    import requests

    answer = requests.post(
        f"{place.base}/api/v1/webhooks",
        json={"name": "there", "target": place.hook.url, "events": ["click"]},
        headers={"Authorization": place.key},
        verify=str(place.ca),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["results"]["id"])


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with client_site(tmp_path_factory.mktemp("clients")) as place:
        yield Played(place)


def told_by(played: Played, name: str) -> Told:
    if name not in played.told:
        pytest.skip(f"{NAMES[name]} is not there: .ci/system test, .ci/sparkpost_{name}")
    return played.told[name]


def failed_calls(told: Told, name: str) -> dict[str, Any]:
    """Calls of the table that a client says have failed, and why."""
    return {
        call: told[call].get("error")
        for names in CALLS.values()
        for call in names.get(name, ())
        if "error" in told[call]
    }


@pytest.mark.parametrize("name", NAMES)
def test_each_call_is_done(played: Played, name: str) -> None:
    assert failed_calls(told_by(played, name), name) == {}


@pytest.mark.parametrize("name", NAMES)
def test_each_call_is_in_the_table(played: Played, name: str) -> None:
    told = told_by(played, name)
    assert set(told) == {call for names in CALLS.values() for call in names.get(name, ())} | set(
        REFUSED[name]
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_offered_is_an_error_that_the_client_tells(played: Played, name: str) -> None:
    told = told_by(played, name)
    for call, status in REFUSED[name].items():
        assert told[call]["error"], call
        assert told[call].get("status") == status, told[call]


@pytest.mark.parametrize("name", NAMES)
def test_the_mail_is_as_the_client_meant_it(played: Played, name: str) -> None:
    told_by(played, name)
    mails = played.mails(name)
    to, cc = mails[f"{name}.to@rcpt.test"], mails[f"{name}.cc@rcpt.test"]
    for mail in (to, cc):
        assert f"{name}.to@rcpt.test" in mail.field("To")
        assert f"{name}.cc@rcpt.test" in mail.field("Cc")
        assert "bcc" not in mail.head.decode().lower()
        asked = mail.field("X-MSYS-API").replace("\\u0020", " ")
        assert f'"campaign_id": "{name} letter"' in asked
        assert f'"from": "{name}"' in asked
        assert '"click_tracking": false' in asked
    if name != "go":
        assert mails[f"{name}.bcc@rcpt.test"].field("Bcc") == ""


def test_answers_say_who_got_it_and_by_which_id(played: Played) -> None:
    python = played.told["python"]["transmissions.send"]["result"]
    assert (python["total_accepted_recipients"], python["total_rejected_recipients"]) == (3, 0)
    assert python["id"] in played.mails("python")["python.to@rcpt.test"].field("X-MSYS-API")
    anymail = played.told["anymail"]["send"]["result"]
    assert set(anymail["recipients"].values()) == {"queued"}
    assert anymail["id"] in played.mails("anymail")["anymail.to@rcpt.test"].field("X-MSYS-API")


def test_anymail_merges_data_and_header_fields(played: Played) -> None:
    mails = played.mails("anymail")
    for who, number in (("One", "1"), ("Two", "2")):
        mail = mails[f"anymail.{who.lower()}@rcpt.test"]
        assert mail.field("Subject") == f"Hi {who}"
        assert mail.body.strip() == f"{who} Shop".encode()
        assert mail.field("X-Who") == number
        assert f'"n": {number}' in mail.field("X-MSYS-API")


def test_go_reads_every_event_as_what_it_is_over_pages(played: Played) -> None:
    told = told_by(played, "go")
    assert sorted(told["MessageEventsSearch, Next"]["result"]) == ["click", "click", "open", "open", "open"]
    assert set(told["EventSamples"]["result"]) == {"open", "click", "bounce"}
    assert "track_event/click" in told["EventDocumentation"]["result"]
    (figures,) = told["QueryMetrics ()"]["result"]
    assert figures["count_clicked"] == 2


def test_node_gets_both_forms_of_links(played: Played) -> None:
    told = told_by(played, "node")
    assert "next" in told["events.searchMessage"]["result"]["links"]
    assert told["messageEvents.search"]["result"]["links"][0]["rel"] == "next"
    assert len(told["messageEvents.search"]["result"]["results"]) == 2


def test_the_lists_of_names_are_read_without_a_window(played: Played) -> None:
    assert played.told["python"]["metrics.campaigns.list"]["result"] == ["autumn"]
    assert played.told["python"]["metrics.domains.list"]["result"] == ["example.net"]


def test_old_booleans_are_two_entries(played: Played) -> None:
    found = played.told["python"]["suppression_list.get"]["result"]
    assert {(each["recipient"], each["type"]) for each in found} == {
        ("python+one@rcpt.test", "transactional"), ("python+one@rcpt.test", "non_transactional"),
    }  # fmt: skip


def table(told: Mapping[str, Told]) -> str:
    """The table of docs/api.md: what each client does with each call."""
    lines = ["| call | " + " | ".join(NAMES.values()) + " |", "| --- " * (len(NAMES) + 1) + "|"]
    for call, names in CALLS.items():
        cells = []
        for name in NAMES:
            done = [each for each in names.get(name, ()) if "error" not in told[name][each]]
            cells.append(", ".join(f"`{each}`" for each in done).replace(" ()`", "`") or "-")
        lines.append(f"| `{call}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def check_table(told: Mapping[str, Told]) -> None:
    """Check the table of docs/api.md. WRITE_TABLE=1 writes it into the page."""
    if set(told) != set(NAMES):
        pytest.skip(f"the table needs every client; missing: {sorted(set(NAMES) - set(told))}")
    page = PAGE.read_text("utf-8")
    made = re.sub(r"(?s)\| call \| PyPI.*?\n(?!\|)", lambda _: table(told), page)
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(made, "utf-8")
    assert page == made


def test_the_page_has_the_table(played: Played) -> None:
    check_table(played.told)


@pytest.mark.long
def test_the_same_in_a_cluster(cassandra_node: Node, tmp_path: Path) -> None:
    cassandra_node.migrated("clients")
    store = cassandra_node.stanza("clients")
    with client_site(tmp_path, store) as place:
        played = Played(place)
        for name in played.told:
            test_each_call_is_done(played, name)
            test_what_is_not_offered_is_an_error_that_the_client_tells(played, name)
            test_the_mail_is_as_the_client_meant_it(played, name)
