"""All pages of the program, put into its application."""

from flask import Flask

from engagement.registry.port import RegistryError
from engagement.stores.port import StoreError, UnsupportedQueryError
from tracker_web.languages.catalogues import Languages
from tracker_web.pages import (
    campaigns,
    click_map,
    language,
    live,
    machines,
    messages,
    overview,
    reached,
    recipients,
    site,
)
from tracker_web.pages.manage import access, domains, pipeline, suppression, webhooks


def register(app: Flask, languages: Languages) -> None:
    """Add the pages, and what their templates need, to an application."""
    site.prepare(app)
    language.prepare(app, languages)
    looking = (overview, campaigns, click_map, reached, messages, recipients, machines, live)
    for room in (*looking, suppression, webhooks, domains, access, pipeline, language):
        pages = room.blueprint()
        pages.register_error_handler(StoreError, site.no_store)
        pages.register_error_handler(RegistryError, site.no_store)
        pages.register_error_handler(UnsupportedQueryError, site.not_offered)
        app.register_blueprint(pages)
