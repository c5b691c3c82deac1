"""What the documentation says of events is what events are."""

from __future__ import annotations

from typing import Any

import pytest

from api.api_site import ApiSite, make_api_site
from engagement.events.api_event import BOOLEANS, api_event
from engagement.events.described import FIELDS, TYPES, documentation, sample
from engagement.events.fields import ALL_TYPES, to_fields
from unit.event_samples import hit, injection

# Rare or only in some modes: docs/events.md has them.
UNTOLD = {
    *(
        "rcpt_hash",
        "x_client_certain",
        "x_expired",
        "x_spoiled",
        "x_repeat",
        "x_hits",
        "x_shared",
        "x_signals",
    ),
    *("x_outcome", "x_links", "x_parts", "x_client_address", "x_consent"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ApiSite:
    return make_api_site(tmp_path_factory.mktemp("site"))


def test_every_type_has_a_name_and_a_sentence() -> None:
    assert set(TYPES) == set(ALL_TYPES)


@pytest.mark.parametrize("event", [to_fields(hit(), injection()), to_fields(injection())])
def test_every_field_of_an_event_is_described_for_its_type(event: dict[str, Any]) -> None:
    given = {name for name in event if not name.startswith("cust_")} - UNTOLD
    assert {name for name in given if event["type"] not in FIELDS[name].types} == set()


@pytest.mark.parametrize("kind", ALL_TYPES)
def test_samples_have_the_form_of_events(kind: str) -> None:
    """Passing one through the form of the API changes nothing."""
    made = sample(kind)
    assert made["type"] == kind
    assert {name: value for name, value in api_event(made).items() if name in made} == made
    assert {name for name, value in made.items() if isinstance(value, bool)} <= BOOLEANS
    description = documentation(kind)
    assert {"display_name", "event_description"} < set(description)
    assert set(made) <= set(description)


def test_calls_give_documentation_and_samples(site: ApiSite) -> None:
    answer = site.get("/events/message/documentation").json["results"]
    assert [each["type"]["sampleValue"] for each in answer] == list(ALL_TYPES)
    samples = site.get("/events/message/samples?events=open,click,nonsense").json["results"]
    assert [each["type"] for each in samples] == ["click", "open"]
    assert len(site.get("/events/message/samples").json["results"]) == len(ALL_TYPES)
