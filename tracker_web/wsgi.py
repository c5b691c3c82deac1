"""What a WSGI server loads: `tracker_web.wsgi:application`. SMTPAPI_CONFIG names the configuration.

The same object under granian (`python -m tracker_web`), gunicorn and `flask --app tracker_web.app run`.
"""

from tracker_web.app import create_app

application = create_app()
