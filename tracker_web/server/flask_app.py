"""The answering application as a Flask factory, for `flask --app tracker_web.server.flask_app run`.

Flask is only the shell: every request is answered by `links` before Flask's routing, and the tracker's own
server never loads this module.
"""

from flask import Flask

from engagement.settings import Settings
from tracker_web.server import build


def create_app(settings: Settings | None = None) -> Flask:
    """Return the Flask object. settings: None reads the file that SMTPAPI_CONFIG names.

    Raises SettingsError for a broken file, OSError for one that cannot be read.
    """
    app = Flask(__name__, static_folder=None)
    app.wsgi_app = build.application(settings)  # type: ignore[method-assign] # Flask names this place
    return app
