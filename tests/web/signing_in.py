"""Signing in to the pages by name and password. Not a test."""

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"
HOST = {"Host": "localhost"}


def sign_in(client: FlaskClient, name: str = "Ida", password: str = PASSWORD) -> TestResponse:
    return client.post("/sign-in", data={"name": name, "password": password}, headers=HOST)


def form_of(client: FlaskClient) -> str:
    found = re.search(r'name="form" value="([^"]+)"', client.get("/", headers=HOST).get_data(as_text=True))
    assert found is not None
    return found[1]
