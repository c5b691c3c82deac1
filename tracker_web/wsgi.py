"""What a WSGI server loads: `tracker_web.wsgi:application`. SMTPAPI_CONFIG names the configuration.

The same callable under granian (`python -m tracker_web`), gunicorn and `flask --app tracker_web.app run`: the
application's `wsgi_app`, which Flask would call for each request after a step of its own.
"""

from tracker_web.app import create_app

application = create_app().wsgi_app
