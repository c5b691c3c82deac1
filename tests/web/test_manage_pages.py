"""Pages that change something: who may, that only our own forms count, and what becomes of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engagement.access.keys import ApiKeys
from engagement.access.users import Role, Users
from engagement.erasures import reader_requests
from engagement.erasures.requests import ErasureRequests
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from engagement.webhooks.documents import Documents
from engagement.webhooks.model import FAILED, Batch
from tracker_web.web.app import create_app
from web.servers import Site, make_site
from web.signing_in import HOST, PASSWORD, form_of, sign_in
from web.web_cases import NOW
from web.web_events import RECIPIENT, a_hit, put
from webhooks.sites import endpoint

FORMS: tuple[tuple[str, Role, dict[str, str]], ...] = (
    ("/recipients/erase", Role.ADMINISTERS, {"address": "ida@example.net"}),
    ("/recipients/object", Role.ADMINISTERS, {"address": "ida@example.net"}),
    ("/recipients/asked", Role.ADMINISTERS, {"recipient": "ida@example.net", "what": "ERASE"}),
    ("/access/keys", Role.ADMINISTERS, {"name": "k", "scope": "metrics/view"}),
    ("/access/keys/revoke", Role.ADMINISTERS, {"name": "k"}),
    ("/access/users", Role.ADMINISTERS, {"name": "Uma", "password": PASSWORD, "role": "administers"}),
    ("/access/users/remove", Role.ADMINISTERS, {"name": "Ida"}),
    ("/suppression", Role.MANAGES, {"recipient": "ida@example.net", "type": "non_transactional"}),
    ("/suppression/remove", Role.MANAGES, {"recipient": "ida@example.net", "type": "non_transactional"}),
    ("/webhooks", Role.MANAGES, {"name": "w", "target": "https://127.0.0.1/"}),
    ("/webhooks/none/test", Role.MANAGES, {}),
    ("/domains", Role.MANAGES, {"domain": "track.example.com"}),
    ("/domains/verify", Role.MANAGES, {"domain": "track.example.com"}),
    ("/domains/remove", Role.MANAGES, {"domain": "track.example.com"}),
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SqliteRegistry]:
    made = SqliteRegistry(tmp_path / "registry.db")
    yield made
    made.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    more = f'registry {{ path = "{tmp_path}/registry.db" }}\n'
    more += 'webhooks { allow_targets = ("127.0.0.1") }\n'
    return make_site(tmp_path, more=more + f'privacy {{ objections = "{tmp_path}/objections" }}')


@pytest.fixture
def client(site: Site) -> FlaskClient:
    return create_app(load_file(site.config)).test_client()


def signed_in(client: FlaskClient, registry: SqliteRegistry, role: Role, tenant: str = "") -> FlaskClient:
    Users(registry).add("Ida", PASSWORD, role, tenant)
    assert sign_in(client).status_code == 303
    return client


def send(client: FlaskClient, path: str, form: dict[str, str], **more: str) -> TestResponse:
    return client.post(path, data={"form": form_of(client), **form} | more, headers=HOST)


def entries(registry: SqliteRegistry) -> list[str]:
    """What forms may have entered."""
    kinds = ("apikey", "erasure", "suppression", "tracking-domain", "user")
    return [f"{kind} {each.key}" for kind in kinds for each in registry.find(kind)]


@pytest.mark.parametrize("role", list(Role))
def test_each_form_by_each_role(client: FlaskClient, registry: SqliteRegistry, role: Role) -> None:
    signed_in(client, registry, role)
    token = form_of(client)
    for path, needed, form in FORMS:
        before = entries(registry)
        answer = client.post(path, data={"form": token, **form}, headers=HOST)
        assert (answer.status_code == 403) == (not role.includes(needed)), (path, answer.status_code)
        if not role.includes(needed):
            assert entries(registry) == before, path


def test_a_form_of_another_site_changes_nothing(client: FlaskClient, registry: SqliteRegistry) -> None:
    signed_in(client, registry, Role.ADMINISTERS)
    for path, _, form in FORMS:
        for forged in ({}, {"form": ""}, {"form": "x" * 32}, {"form": "\u0661"}):
            assert client.post(path, data=form | forged, headers=HOST).status_code == 400, path
    assert entries(registry) == ["user ida"]


def test_nothing_changes_by_looking(client: FlaskClient, registry: SqliteRegistry) -> None:
    signed_in(client, registry, Role.ADMINISTERS)
    for path, _, form in FORMS:
        assert client.get(path, query_string=form, headers=HOST).status_code in (200, 405), path
    assert entries(registry) == ["user ida"]


def test_who_does_not_administer_sees_neither_users_nor_keys(
    client: FlaskClient, registry: SqliteRegistry
) -> None:
    signed_in(client, registry, Role.MANAGES)
    assert client.get("/access", headers=HOST).status_code == 403
    assert client.get("/recipients/erase?address=a@b.example", headers=HOST).status_code == 403
    page = client.get("/", headers=HOST).get_data(as_text=True)
    assert "Users and keys" not in page


def test_erasing_asks_first_and_the_request_waits_for_the_shipper(
    client: FlaskClient, registry: SqliteRegistry, site: Site
) -> None:
    put(site, a_hit(), a_hit(seconds=60))
    signed_in(client, registry, Role.ADMINISTERS)
    page = client.get(f"/recipients/erase?address={RECIPIENT}", headers=HOST).get_data(as_text=True)
    assert "2 events of messages to this address would go" in page
    answer = send(client, "/recipients/erase", {"address": RECIPIENT})
    assert (answer.status_code, answer.location) == (303, f"/recipients?address={RECIPIENT}&done=erase")
    ((request,), _, _) = ErasureRequests(registry).since("")
    assert request.recipient == RECIPIENT.lower()
    assert "carries it out" in client.get(answer.location, headers=HOST).get_data(as_text=True)


def test_an_objection_is_listed(client: FlaskClient, registry: SqliteRegistry, tmp_path: Path) -> None:
    signed_in(client, registry, Role.ADMINISTERS)
    assert send(client, "/recipients/object", {"address": "Ida@example.net"}).status_code == 422
    (tmp_path / "objections").touch()
    assert send(client, "/recipients/object", {"address": "Ida@example.net"}).status_code == 303
    assert "ida@example.net" in (tmp_path / "objections").read_text("utf-8").lower()


def test_a_key_is_shown_once_and_revoked(client: FlaskClient, registry: SqliteRegistry) -> None:
    signed_in(client, registry, Role.ADMINISTERS)
    page = send(client, "/access/keys", {"name": "board", "scope": "metrics/view"}).get_data(as_text=True)
    found = re.search(r"<code>(smtpapi_[^<]+)</code>", page)
    assert found is not None
    key = ApiKeys(registry).find(found[1])
    assert key is not None
    assert key.scopes == ("metrics/view",)
    assert found[1] not in client.get("/access", headers=HOST).get_data(as_text=True)
    assert send(client, "/access/keys", {"name": "board", "scope": "metrics/view"}).status_code == 422
    assert send(client, "/access/keys/revoke", {"name": "board"}).status_code == 303
    assert ApiKeys(registry).find(found[1]) is None


def test_a_user_is_made_and_removed_with_their_sessions(
    client: FlaskClient, registry: SqliteRegistry, site: Site
) -> None:
    signed_in(client, registry, Role.ADMINISTERS)
    new = {"name": "Uma", "password": PASSWORD, "role": "looks"}
    assert send(client, "/access/users", new).status_code == 303
    assert send(client, "/access/users", new).status_code == 422
    other = create_app(load_file(site.config)).test_client()
    assert sign_in(other, "Uma").status_code == 303
    assert send(client, "/access/users/remove", {"name": "Uma"}).status_code == 303
    assert other.get("/", headers=HOST).status_code == 401


def test_a_tenant_administers_its_own_alone(client: FlaskClient, registry: SqliteRegistry) -> None:
    Users(registry).add("Root", PASSWORD, Role.ADMINISTERS)
    key = ApiKeys(registry).add("all", ("metrics/view",))
    signed_in(client, registry, Role.ADMINISTERS, "acme")
    page = client.get("/access", headers=HOST).get_data(as_text=True)
    assert "Root" not in page
    assert ">all<" not in page
    send(client, "/access/users/remove", {"name": "Root"})
    send(client, "/access/keys/revoke", {"name": "all"})
    assert Users(registry).get("Root") is not None
    assert ApiKeys(registry).find(key) is not None
    send(client, "/access/users", {"name": "Uma", "password": PASSWORD, "role": "administers"})
    made = Users(registry).get("Uma")
    assert made is not None
    assert made.tenant == "acme"


def test_a_domain_is_added_and_removed(client: FlaskClient, registry: SqliteRegistry) -> None:
    signed_in(client, registry, Role.MANAGES)
    assert send(client, "/domains", {"domain": "Track.Example.com", "secure": "on"}).status_code == 303
    page = client.get("/domains", headers=HOST).get_data(as_text=True)
    assert "track.example.com" in page
    assert send(client, "/domains", {"domain": "track.example.com"}).status_code == 409
    assert send(client, "/domains", {"domain": "no domain"}).status_code == 422
    assert send(client, "/domains/remove", {"domain": "track.example.com"}).status_code == 303
    assert "track.example.com" not in client.get("/domains", headers=HOST).get_data(as_text=True)


def test_mail_to_somebody_is_stopped_and_goes_on(client: FlaskClient, registry: SqliteRegistry) -> None:
    signed_in(client, registry, Role.MANAGES)
    entry = {"recipient": "Ida@Example.net", "type": "non_transactional", "description": "asked by phone"}
    answer = send(client, "/suppression", entry)
    assert answer.status_code == 303
    page = client.get(answer.location, headers=HOST).get_data(as_text=True)
    assert "ida@example.net" in page
    assert "Manually Added" in page
    assert "asked by phone" in page
    csv = client.get("/suppression?export=csv", headers=HOST).get_data(as_text=True)
    assert csv.splitlines()[1] == "ida@example.net,non_transactional,Manually Added,asked by phone,"
    assert "ida@example.net" in client.get("/suppression?q=example.net", headers=HOST).get_data(as_text=True)
    assert "No entry fits" in client.get("/suppression?q=other.example", headers=HOST).get_data(as_text=True)
    for wrong in ({"recipient": "nobody"}, {"type": "x"}):
        assert send(client, "/suppression", entry | wrong).status_code == 422
    assert send(client, "/suppression/remove", {**entry, "recipient": "ida@example.net"}).status_code == 303
    assert registry.find("suppression") == ()


def test_a_webhook_fails_is_seen_and_its_batch_is_sent_again(
    client: FlaskClient, registry: SqliteRegistry
) -> None:
    signed_in(client, registry, Role.MANAGES)
    with endpoint() as hook:
        added = send(client, "/webhooks", {"name": "shop", "target": hook.url, "events": "click"})
        assert added.status_code == 303
        page = client.get("/webhooks", headers=HOST).get_data(as_text=True)
        found = re.search(r'href="(/webhooks/[^"]+)">shop<', page)
        assert found is not None
        documents = Documents(registry)
        (webhook,) = documents.webhooks()
        key = documents.body_key(webhook.id, 1, "x")
        refused = Batch("b-1", 1, NOW * 1000, 1, key, 3, "", FAILED, failed=4, failure_code="ECONNREFUSED")
        documents.add_batch(webhook.id, refused, b"[]")
        page = client.get(f"{found[1]}?state=failed", headers=HOST).get_data(as_text=True)
        assert "b-1" in page
        assert "ECONNREFUSED" in page
        page = send(client, f"{found[1]}/replay", {"batch": "b-1"}).get_data(as_text=True)
        assert "1 batch will be sent again" in page
        page = send(client, f"{found[1]}/test", {}).get_data(as_text=True)
        assert "it answered with status 200" in page
        send(client, f"{found[1]}/pause", {})
        assert "paused by a person" in client.get("/webhooks", headers=HOST).get_data(as_text=True)
        send(client, f"{found[1]}/resume", {})
        assert "paused" not in client.get("/webhooks", headers=HOST).get_data(as_text=True)
        assert send(client, f"{found[1]}/remove", {}).location == "/webhooks"
        assert "shop" not in client.get("/webhooks", headers=HOST).get_data(as_text=True)
    assert send(client, "/webhooks", {"name": "x", "target": "https://10.0.0.1/"}).status_code == 422


def test_the_pipeline_says_what_is_wrong(client: FlaskClient, registry: SqliteRegistry, site: Site) -> None:
    signed_in(client, registry, Role.LOOKS)
    page = client.get("/pipeline", headers=HOST).get_data(as_text=True)
    assert "is smtpapi ship running" in page
    put(site, a_hit())
    assert "the newest event is" in client.get("/pipeline", headers=HOST).get_data(as_text=True)


def test_what_readers_asked_stands_there_until_it_is_settled(
    client: FlaskClient, registry: SqliteRegistry
) -> None:
    signed_in(client, registry, Role.ADMINISTERS, tenant="17")
    reader_requests.note(
        registry, reader_requests.ReaderRequest("ERASE", "Ida@Example.net", "17", NOW * 1000)
    )
    reader_requests.note(
        registry, reader_requests.ReaderRequest("EXPORT", "ida@example.net", "17", NOW * 1000)
    )
    reader_requests.note(
        registry, reader_requests.ReaderRequest("ERASE", "kari@example.net", "other", NOW * 1000)
    )
    page = client.get("/recipients", headers=HOST).get_data(as_text=True)
    assert "erase what is stored" in page
    assert "a copy of what is stored" in page
    assert "kari@example.net" not in page  # another tenant's
    send(client, "/recipients/asked", {"recipient": "ida@example.net", "what": "EXPORT"})
    send(client, "/recipients/asked", {"recipient": "kari@example.net", "what": "ERASE"})
    assert [each.what for each in reader_requests.waiting(registry, "17")] == ["ERASE"]
    assert len(reader_requests.waiting(registry, "other")) == 1
    send(client, "/recipients/erase", {"address": "ida@example.net"})
    assert reader_requests.waiting(registry, "17") == []
    assert "Asked by readers" not in client.get("/recipients", headers=HOST).get_data(as_text=True)


def test_what_readers_asked_is_for_those_who_administer(
    client: FlaskClient, registry: SqliteRegistry
) -> None:
    signed_in(client, registry, Role.MANAGES)
    reader_requests.note(registry, reader_requests.ReaderRequest("ERASE", "kari@example.net", "", NOW * 1000))
    assert "kari@example.net" not in client.get("/recipients", headers=HOST).get_data(as_text=True)


@pytest.mark.parametrize(("path", "form", "message"), [
    ("/access/users", {"name": "Ida", "password": PASSWORD, "role": "looks"}, "gibt es schon"),
    ("/access/users", {"name": "Uma", "password": "short", "role": "looks"}, "Ein Passwort hat 12 bis"),
    ("/access/users", {"name": "correct horse", "password": "Correct Horse"}, "nicht der Name"),
    ("/access/users", {"name": " ", "password": PASSWORD}, "Ein Name hat 1 bis"),
    ("/suppression", {"recipient": "nobody", "type": "transactional"}, "Der Empfänger muss eine"),
    ("/domains", {"domain": "no domain"}, "kein Domainname"),
])  # fmt: skip
def test_what_is_refused_is_said_in_the_language_of_the_page(
    client: FlaskClient, registry: SqliteRegistry, path: str, form: dict[str, str], message: str
) -> None:
    signed_in(client, registry, Role.ADMINISTERS)
    answer = client.post(
        path, data={"form": form_of(client), **form}, headers=HOST | {"Accept-Language": "de"}
    )
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
