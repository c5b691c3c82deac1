"""Every call of SparkPost's client for Python, unchanged; a program of its own, with its CA.

Reads {base, key} from standard input; writes one JSON object: the name of each call with its result or error.
"""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")

from sparkpost import SparkPost  # noqa: E402 - after the filter: it warns while it is imported
from sparkpost.exceptions import SparkPostAPIException  # noqa: E402 - as above


def main() -> None:
    request = json.load(sys.stdin)
    client = SparkPost(request["key"], request["base"].removeprefix("https://"))
    results: dict[str, Any] = {}

    def call(name: str, make: Callable[[], Any]) -> None:
        try:
            results[name] = {"result": make()}
        except SparkPostAPIException as error:
            results[name] = {"error": str(error), "status": error.status, "errors": error.errors}
        except Exception as error:
            results[name] = {"error": repr(error)}

    send = client.transmissions.send
    call(
        "transmissions.send",
        lambda: send(
            recipients=["To Name <python.to@rcpt.test>"],
            cc=["python.cc@rcpt.test"],
            bcc=["python.bcc@rcpt.test"],
            from_email="Pythön <python@sender.test>",
            subject="Hi {{name}}",
            html="<p>{{name}}</p>",
            text="{{name}}",
            campaign="python letter",
            metadata={"from": "python"},
            substitution_data={"name": "You"},
            track_clicks=False,
            custom_headers={"X-Mine": "1"},
            attachments=[{"name": "a.txt", "type": "text/plain", "data": "YWJj"}],
        ),
    )
    whole = "From: python@sender.test\r\nSubject: whole\r\n\r\nwhole"
    call(
        "transmissions.send (email_rfc822)",
        lambda: send(recipients=["python.whole@rcpt.test"], email_rfc822=whole),
    )
    call("transmissions.send (template)", lambda: send(recipients=["python.to@rcpt.test"], template="letter"))
    call("transmissions.list", lambda: client.transmissions.list())
    call("metrics.campaigns.list", lambda: client.metrics.campaigns.list())
    call("metrics.domains.list", lambda: client.metrics.domains.list())
    people = client.suppression_list
    one = {"email": "python+one@rcpt.test", "transactional": True, "description": "by python"}
    call("suppression_list.create", lambda: people.create(dict(one)))
    call("suppression_list.update", lambda: people.update(dict(one) | {"non_transactional": True}))
    many = [{"email": "python.two@rcpt.test", "transactional": False, "non_transactional": True}]
    call("suppression_list.create (several)", lambda: people.create(many))
    call("suppression_list.get", lambda: people.get("python+one@rcpt.test"))
    call("suppression_list.list", lambda: people.list(types=["transactional", "non_transactional"], limit=5))
    call("suppression_list.delete", lambda: people.delete("python.two@rcpt.test"))
    json.dump(results, sys.stdout)


main()
