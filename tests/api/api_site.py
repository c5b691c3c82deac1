"""A site for tests of the HTTP API: the application over its stores, keys, and a client that sends them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from engagement.access.keys import ApiKeys
from engagement.events.rows import EventRow
from engagement.registry import open_registry
from engagement.settings import load_file
from engagement.settings.settings import Settings
from engagement.stores import open_store
from tracker_web.web.app import create_app
from web.servers import Site, make_site

BASE = "/api/v1"


@dataclass
class ApiSite:
    """The application of one folder. client: without a key. keys: of its registry."""

    site: Site
    settings: Settings
    client: FlaskClient
    keys: ApiKeys

    def key(self, *scopes: str, tenant: str = "") -> str:
        """Make a key and return it."""
        name = f"key {sum(1 for _ in self.keys.all())}"
        return self.keys.add(name, scopes or ("all",), tenant)

    def call(self, method: str, path: str, key: str | None = None, **more: Any) -> Any:
        """Call a path below BASE; key: None for a new one with every scope, "" for none."""
        key = self.key() if key is None else key
        headers = {"Authorization": key} if key else {}
        return self.client.open(BASE + path, method=method, headers=headers | more.pop("headers", {}), **more)

    def add(self, rows: Iterable[EventRow]) -> None:
        """Write events into the site's store, with their figures."""
        store = open_store(self.settings, writing=True)
        try:
            store.add(rows)
            store.roll_up()
        finally:
            store.close()

    def get(self, path: str, key: str | None = None, **more: Any) -> Any:
        """Call a path with GET."""
        return self.call("GET", path, key, **more)


def make_api_site(folder: Path, more: str = "") -> ApiSite:
    """Make a site whose registry is in the folder too."""
    site = make_site(folder, more=f'registry {{ path = "{folder}/registry.db" }}\n{more}')
    settings = load_file(site.config)
    return ApiSite(site, settings, create_app(settings).test_client(), ApiKeys(open_registry(settings)))
