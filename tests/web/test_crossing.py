"""Nobody gets across: not from one tenant into another, not from another site with a user's cookie."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, expect

from engagement.access.users import Role, Users
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file
from engagement.suppression import book
from tracker_web.web.app import create_app
from web.chromium import at_path, fresh_page, go
from web.servers import Site, opener, running, web
from web.shown_site import ADDRESS, CAMPAIGN, PAGES, PERIOD, WEBHOOK, shown_site
from web.signing_in import HOST, PASSWORD, sign_in

# Of what stands on the pages of who may see it; none of it is in any of their addresses.
OTHERS = ("lighthouse", "4bQ", "friend3@", "crm", "board", "asked by phone", "the lamp")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = shown_site(tmp_path_factory.mktemp("crossed"), mails=8)
    registry = SqliteRegistry(made.folder / "registry.db")
    Users(registry).add("Tenant", PASSWORD, Role.ADMINISTERS, "17")
    Users(registry).add("Owner", PASSWORD, Role.ADMINISTERS)
    registry.close()
    return made


@pytest.fixture(scope="module")
def app(site: Site) -> Flask:
    return create_app(load_file(site.config))


@pytest.fixture(scope="module")
def tenant(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        assert sign_in(client, "Tenant").status_code == 303
        yield client


def shown(client: FlaskClient, address: str) -> str:
    """A page; on a busy machine one may take longer than the server waits for it."""
    for _ in range(60):
        answer = client.get(address, headers=HOST)
        if b"takes its time" not in answer.data:
            break
        time.sleep(0.2)
    assert answer.status_code in (200, 403, 404)
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("path", [path for path in PAGES if path != "/pipeline"])
def test_no_page_shows_a_tenant_what_is_anothers(tenant: FlaskClient, path: str) -> None:
    for address in (path, f"{path}{'&' if '?' in path else '?'}export=json"):
        text = shown(tenant, address)
        assert [each for each in OTHERS if each in text] == []


def test_what_is_looked_for_is_there_for_who_may_see_it(app: Flask) -> None:
    with app.test_client() as client:
        assert sign_in(client, "Owner").status_code == 303
        every = "".join(shown(client, path) for path in PAGES)
    assert [each for each in OTHERS if each not in every] == []


@pytest.mark.parametrize(("path", "form"), [
    (f"/webhooks/{WEBHOOK}/pause", {}),
    (f"/webhooks/{WEBHOOK}/remove", {}),
    ("/suppression/remove", {"recipient": ADDRESS, "type": "non_transactional"}),
    ("/access/users/remove", {"name": "Owner"}),
    ("/access/keys/revoke", {"name": "board"}),
    ("/domains/remove", {"domain": "links.lighthouse.example"}),
])  # fmt: skip
def test_no_form_of_a_tenant_changes_what_is_anothers(
    tenant: FlaskClient, site: Site, path: str, form: dict[str, str]
) -> None:
    def everything() -> list[tuple[str, int]]:
        registry = SqliteRegistry(site.folder / "registry.db")
        kinds = ("webhook", "webhook_state", "suppression", "user", "apikey", "tracking-domain")
        found = [(each.key, each.version) for kind in kinds for each in registry.find(kind)]
        registry.close()
        return found

    token = shown(tenant, "/pipeline").partition('name="form" value="')[2].partition('"')[0]
    before = everything()
    assert len(before) >= 6
    assert tenant.post(path, data=form | {"form": token}, headers=HOST).status_code in (303, 404, 422)
    assert everything() == before


def test_in_a_browser_a_form_of_another_site_is_nobodys(site: Site, chromium: Browser) -> None:
    """Its cookie is not sent along (SameSite=Strict); the form's own word would be missing as well."""

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f"""<form method="post" action="http://localhost:{site.web}/suppression">
            <input name="recipient" value="victim@example.net"><input name="type" value="transactional">
            </form><script>document.forms[0].submit()</script>""".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with running(site, web), fresh_page(chromium, complains=True) as page:  # of the form's 401
            heading = page.get_by_role("heading", level=1)
            go(page, opener(site))
            expect(heading).not_to_have_text("Sign in")
            page.goto(f"http://127.0.0.1:{server.server_port}/")
            at_path(page, "/suppression")
            expect(heading).to_have_text("Sign in")
            go(page, f"http://localhost:{site.web}/campaigns/{CAMPAIGN}{PERIOD}")
            expect(heading).to_contain_text(CAMPAIGN)  # signed in all the while
    finally:
        server.shutdown()
        server.server_close()
    registry = SqliteRegistry(site.folder / "registry.db")
    assert book.get(registry, "victim@example.net") == ()
    registry.close()
