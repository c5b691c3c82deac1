"""What a WSGI server loads: `tracker_web.server.wsgi:application`. SMTPAPI_CONFIG names the configuration.

The same callable that the tracker's own server calls (`python -m tracker_web`), for gunicorn and others.
"""

from tracker_web.server.build import application as _build

application = _build()
