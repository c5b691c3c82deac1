"""All pages of the program, put into its application."""

from flask import Flask

from tracker_web.pages import campaigns, live, machines, messages, overview, recipients, site


def register(app: Flask) -> None:
    """Add the pages, and what their templates need, to an application."""
    site.prepare(app)
    for room in (overview, campaigns, messages, recipients, machines, live):
        app.register_blueprint(room.blueprint())
