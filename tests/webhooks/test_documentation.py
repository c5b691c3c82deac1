"""What is documented is what comes (contract.md 7.2, 8.2)."""

import json

from engagement.events.api_event import webhook_event
from engagement.events.fields import ALL_TYPES, to_fields
from engagement.links.model import Kind
from engagement.webhooks.documentation import event_documentation, samples
from unit.event_samples import hit, injection


def test_every_type_is_in_its_group_with_the_form_that_gos_client_reads() -> None:
    documented = event_documentation()
    json.dumps(documented)
    types = [kind for group in documented.values() for kind in group["events"]]
    assert sorted(types) == sorted(ALL_TYPES)
    for group in documented.values():
        assert group["display_name"]
        for event in group["events"].values():
            assert event["display_name"]
            assert all(set(field) == {"description", "sampleValue"} for field in event["event"].values())


def test_what_comes_of_a_type_is_of_the_sort_of_its_sample() -> None:
    for kind in Kind:
        ((group, event),) = webhook_event(to_fields(hit(kind), injection()))["msys"].items()
        (made,) = samples([event["type"]])
        sample = made["msys"][group]
        assert all(type(event[name]) is type(sample[name]) for name in set(event) & set(sample))
        assert {name for name in set(event) - set(sample) if not name.startswith(("x_", "cust_"))} == set()


def test_samples_are_what_a_webhook_sends() -> None:
    assert [list(each["msys"]) for each in samples(["open", "nonsense", "bounce"])] == [
        ["track_event"],
        ["message_event"],
    ]
    assert len(samples()) == len(ALL_TYPES)
    assert all(fields["timestamp"].isdigit() for each in samples() for fields in each["msys"].values())
