"""Documents of any earlier program are read, and those of a later one (docs/compatibility.md)."""

import json
from pathlib import Path

import pytest

from engagement.access.keys import ApiKey, ApiKeys
from engagement.access.sessions import Session, Sessions
from engagement.access.users import Role, Users
from engagement.erasures.requests import ErasureRequest, ErasureRequests
from engagement.registry.sqlite import SqliteRegistry
from engagement.suppression.model import KIND, Entry, MailKind, Source, entry_of
from engagement.tracking_domains.documents import TrackingDomains
from engagement.tracking_domains.model import TrackingDomain
from engagement.webhooks import documents
from engagement.webhooks.batches import PING, batch_id, unpacked
from engagement.webhooks.model import Batch, Endpoint, State, Webhook, batch_from, state_from, webhook_from
from unit.format_samples import SAMPLES

SAMPLE = json.loads((SAMPLES / "registry-documents-1.json").read_text("utf-8"))
SECRETS = SAMPLE["secrets"]
AT = 1_793_001_722


@pytest.fixture(params=["as it was", "with a field of a newer program"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteRegistry:
    made = SqliteRegistry(tmp_path / "registry.db")
    more = {} if request.param == "as it was" else {"moon": "full"}
    for kind, key, data in SAMPLE["documents"]:
        made.put(kind, key, {**data, **more})
    return made


def now() -> float:
    return float(AT)


def test_users_keys_and_sessions(registry: SqliteRegistry) -> None:
    role = list(Role)[1]
    ada = Users(registry, now).signed_in("ada", "seven small stones")
    assert ada is not None
    assert (ada.name, ada.role, ada.tenant, ada.created_ms) == ("Ada", role, "north", AT * 1000)
    session = Sessions(registry, now).find(SECRETS["cookie"])
    assert session is not None
    assert session == Session("Ada", role, "north", session.form, AT + 86_400)
    key = ApiKeys(registry, now).find(SECRETS["apikey"])
    assert key is not None
    hint = SECRETS["apikey"][: len(key.hint)]
    assert key == ApiKey("reports", ("events/view", "metrics/view"), "north", hint, AT * 1000, key.used_ms, 0)


def test_requests_to_erase(registry: SqliteRegistry) -> None:
    requests = ErasureRequests(registry, now)
    requested_at, done = SECRETS["asked"], SECRETS["done"]
    assert requests.get(requested_at, "north") == ErasureRequest(
        requested_at, "north", "ida@example.net", AT * 1000
    )
    assert requests.get(done, "north") == ErasureRequest(done, "north", "", AT * 1000, AT * 1000, 7)


def test_tracking_domains_and_suppressions(registry: SqliteRegistry) -> None:
    assert list(TrackingDomains(registry, "north", now).all()) == [
        TrackingDomain(
            "click.example.org", "north", secure=True, default=True, verified=True, status="valid",
            checked_ms=AT * 1000,
        )
    ]  # fmt: skip
    (document,) = registry.find(KIND)
    entry = entry_of(document.data)
    assert entry == Entry(
        "ida@example.net", MailKind.NON_TRANSACTIONAL, Source.LIST_UNSUBSCRIBE, "asked to",
        "news.example.org", "north", AT * 1000, AT * 1000 + 5,
    )  # fmt: skip
    assert entry.key == document.key


def test_webhooks(registry: SqliteRegistry) -> None:
    kinds = (documents.WEBHOOK, documents.STATE, documents.BATCH, documents.BODY)
    webhook, state, batch, body = (registry.find(kind)[0] for kind in kinds)
    name = "0192f7a0-0000-5000-8000-000000000001"
    endpoint = Endpoint(
        "https://hooks.example.org/in", {"X-Site": "north"}, "basic", {"username": "ada", "password": "p"},
        {}, "t", ("whsec_AAAA",),
    )  # fmt: skip
    assert webhook_from(webhook.data) == Webhook(
        name, "north's", endpoint, ("click", "open"), True, (3,), "north", True, 2,
        {"1": Endpoint("https://old.example.org/")}, AT * 1000,
    )  # fmt: skip
    assert state_from(state.data) == State(
        "host-1", "m", 4, 2, AT * 1000, AT * 1000 + 60_000, 5, 6, "500", "", 1
    )
    assert batch_from(batch.data) == Batch(
        batch_id(name, 4), 4, AT * 1000, 2, "body-4", 1, "m", "failed", 1, 2, 3, 4, 5, "500", "", 12, True
    )
    assert unpacked(body.data) == PING


def test_there_is_a_sample_of_each_kind() -> None:
    """`webhook_sender` is written anew every few seconds and says who is at work."""
    kinds = {getattr(documents, name) for name in ("WEBHOOK", "STATE", "BATCH", "BODY")}
    kinds |= {"apikey", "erasure", "session", "suppression", "tracking-domain", "user"}
    assert {kind for kind, _, _ in SAMPLE["documents"]} == kinds
