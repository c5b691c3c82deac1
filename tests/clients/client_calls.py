"""Which calls each of SparkPost's clients has, what they tell of them, and the table of docs/api.md.

Not a test.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
import requests

from clients.client_site import Place, commands
from contract.store_samples import SampleRows
from engagement.links.model import Kind
from engagement.stores import open_store
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

Results = Mapping[str, Mapping[str, Any]]


def every_call(place: Place) -> dict[str, Results]:
    """What every client that can run here tells of all its calls."""
    _events(place)
    more = {"from": FROM, "webhook": _webhook(place)}
    return {name: place.run(command, **more) for name, command in commands().items()}


def _events(place: Place) -> None:
    """Five hits, so that pages of two are three."""
    sample = SampleRows()
    rows = [
        row
        for number in range(5)
        for row in sample.hit(
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
    answer = requests.post(
        f"{place.base}/api/v1/webhooks",
        json={"name": "there", "target": place.hook.url, "events": ["click"]},
        headers={"Authorization": place.key},
        verify=str(place.ca),
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["results"]["id"])


def failed_calls(results: Results, name: str) -> dict[str, Any]:
    """Calls of the table that a client says have failed, and why."""
    return {
        call: results[call].get("error")
        for names in CALLS.values()
        for call in names.get(name, ())
        if "error" in results[call]
    }


def table(results: Mapping[str, Results]) -> str:
    """The table of docs/api.md: what each client does with each call."""
    lines = ["| call | " + " | ".join(NAMES.values()) + " |", "| --- " * (len(NAMES) + 1) + "|"]
    for call, names in CALLS.items():
        cells = []
        for name in NAMES:
            done = [each for each in names.get(name, ()) if "error" not in results[name][each]]
            cells.append(", ".join(f"`{each}`" for each in done).replace(" ()`", "`") or "-")
        lines.append(f"| `{call}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def check_table(results: Mapping[str, Results]) -> None:
    """Check the table of docs/api.md. WRITE_TABLE=1 writes it into the page."""
    if set(results) != set(NAMES):
        pytest.skip(f"the table needs every client; missing: {sorted(set(NAMES) - set(results))}")
    page = PAGE.read_text("utf-8")
    made = re.sub(r"(?s)\| call \| PyPI.*?\n(?!\|)", lambda _: table(results), page)
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(made, "utf-8")
    assert page == made
