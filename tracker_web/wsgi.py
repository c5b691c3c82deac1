"""What a WSGI server loads: `tracker_web.wsgi:application`. SMTPAPI_CONFIG names the configuration.

The same callable that the tracker's own server calls (`python -m tracker_web`), for gunicorn and others.
"""

from tracker_web.links import application as _made

application = _made()
