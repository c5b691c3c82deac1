"""All pages of the program, put into its application."""

from flask import Flask

from engagement.stores.port import StoreError, UnsupportedQueryError
from tracker_web.pages import campaigns, live, machines, messages, overview, recipients, site


def register(app: Flask) -> None:
    """Add the pages, and what their templates need, to an application."""
    site.prepare(app)
    for room in (overview, campaigns, messages, recipients, machines, live):
        pages = room.blueprint()
        pages.register_error_handler(StoreError, site.no_store)
        pages.register_error_handler(UnsupportedQueryError, site.not_offered)
        app.register_blueprint(pages)
