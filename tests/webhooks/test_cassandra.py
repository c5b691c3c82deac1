"""The same in a cluster: events, webhooks and batches in Cassandra."""

import json
import random
import threading
from collections.abc import Iterator

import pytest

from cassandra_site import Node
from engagement.registry.cassandra import CassandraRegistry
from engagement.stores.cassandra.store import CassandraStore
from unit.event_samples import hit, identity
from webhooks.sites import Request, Site, endpoint, options


@pytest.fixture
def here(cassandra_node: Node) -> Iterator[Site]:
    client = cassandra_node.migrated("webhooks")
    store, registry = CassandraStore(client), CassandraRegistry(client)
    yield Site(store, registry, options(batch_events=7, batch_size=8000))
    registry.close()
    store.close()


def ids(requests: list[Request]) -> list[str]:
    events = [event for each in requests for event in json.loads(each.body)]
    return [fields["event_id"] for event in events for fields in event["msys"].values()]


def test_every_event_comes_while_the_endpoint_fails_at_random(here: Site) -> None:
    chance, lock = random.Random(4), threading.Lock()

    def answer(path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        with lock:
            return (500 if chance.random() < 0.2 else 200), {}, b""

    clicks = [hit() for _ in range(60)]
    with endpoint(answer=answer) as hook:
        webhook = here.create(hook.url)
        with here.sending("first"):
            for begin in range(0, 60, 6):
                here.add(*clicks[begin : begin + 6])
            hook.wait(lambda found: len(found) >= 3)
        with here.sending("second"):
            hook.wait(lambda found: {each.id for each in clicks} <= set(ids(_good(found))))
        good = _good(hook.batches)
        assert max(len(json.loads(each.body)) for each in good) <= 7
        assert {each.batch: each.body for each in hook.batches} == {each.batch: each.body for each in good}
        assert here.documents.state(webhook)[0].owner == ""
        # The store may tell of an event twice, and the batch of the second time be under way still.
        assert here.documents.erase("ida.holm@example.net") >= len({each.batch for each in good})
        assert here.documents.erase("ida.holm@example.net") == 0


def test_a_tenant_gets_its_own_events_and_a_replay_has_the_ids_of_before(here: Site) -> None:
    with endpoint() as hook:
        made = here.service.create({"name": "n", "target": hook.url, "events": ["click"]}, tenant="north")
        ours = hit(whose=identity(3), tenant="north")
        here.add(hit(whose=identity(4)), ours)
        with here.sending():
            (first,) = hook.wait(lambda found: len(found) >= 1)
            here.service.replay(made["id"], {"from": "2020-01-01T00:00Z"})
            again = hook.wait(lambda found: len(found) >= 2)[1]
    assert ids([first]) == [ours.id]
    assert (again.batch, again.body) == (first.batch, first.body)


def _good(requests: list[Request]) -> list[Request]:
    return [each for each in requests if each.status == 200]
