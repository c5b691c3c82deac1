"""Signing in to the pages by name and password. Not a test."""

import re
import time

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"
HOST = {"Host": "localhost"}


def sign_in(client: FlaskClient, name: str = "Ida", password: str = PASSWORD) -> TestResponse:
    return client.post("/sign-in", data={"name": name, "password": password}, headers=HOST)


def form_of(client: FlaskClient) -> str:
    for _ in range(60):  # on a busy machine a page may take longer than the server waits for it
        page = client.get("/pipeline", headers=HOST).get_data(as_text=True)
        found = re.search(r'name="form" value="([^"]+)"', page)
        if found is not None:
            return found[1]
        time.sleep(0.2)
    raise AssertionError("no page has a form")
