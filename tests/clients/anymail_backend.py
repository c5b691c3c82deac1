"""django-anymail's backend for SparkPost, unchanged; a program of its own, as Django is set up once.

Reads {base, key} from standard input; writes one JSON object: the name of each call with its result or error.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings


def main() -> None:
    request = json.load(sys.stdin)
    settings.configure(
        EMAIL_BACKEND="anymail.backends.sparkpost.EmailBackend",
        ANYMAIL={"SPARKPOST_API_KEY": request["key"], "SPARKPOST_API_URL": request["base"] + "/api/v1"},
        INSTALLED_APPS=["anymail"],
    )
    django.setup()
    from anymail.exceptions import AnymailError
    from anymail.message import AnymailMessage

    results: dict[str, Any] = {}

    def call(name: str, make: Callable[[], AnymailMessage]) -> None:
        message = make()
        try:
            message.send()
        except AnymailError as error:
            results[name] = {"error": str(error)}
            return
        status = message.anymail_status
        people = {who: each.status for who, each in status.recipients.items()}
        results[name] = {"result": {"id": status.message_id, "recipients": people}}

    def alternative() -> AnymailMessage:
        message = AnymailMessage(
            subject="Hi", body="text", from_email="Anymäil <anymail@sender.test>",
            to=['"To, Name" <anymail.to@rcpt.test>', "anymail.second@rcpt.test"],
            cc=["Cc <anymail.cc@rcpt.test>"],
            bcc=["anymail.bcc@rcpt.test"], reply_to=["reply@sender.test"], headers={"X-Mine": "1"},
        )  # fmt: skip
        message.attach_alternative("<p>html</p>", "text/html")
        message.attach("ä.txt", "abc", "text/plain")
        message.tags, message.metadata = ["anymail letter"], {"from": "anymail"}
        message.track_clicks, message.track_opens = False, True
        message.envelope_sender = "bounces@sender.test"
        return message

    def merged() -> AnymailMessage:
        message = AnymailMessage(
            subject="Hi {{name}}", body="{{name}} {{shop}}", from_email="anymail@sender.test",
            to=["anymail.one@rcpt.test", "anymail.two@rcpt.test"],
        )  # fmt: skip
        message.merge_data = {
            "anymail.one@rcpt.test": {"name": "One"},
            "anymail.two@rcpt.test": {"name": "Two"},
        }
        message.merge_global_data = {"shop": "Shop"}
        message.merge_metadata = {"anymail.one@rcpt.test": {"n": 1}, "anymail.two@rcpt.test": {"n": 2}}
        message.merge_headers = {
            "anymail.one@rcpt.test": {"X-Who": "1"},
            "anymail.two@rcpt.test": {"X-Who": "2"},
        }
        return message

    def from_template() -> AnymailMessage:
        message = AnymailMessage(from_email="anymail@sender.test", to=["anymail.to@rcpt.test"])
        message.template_id = "letter"
        return message

    call("send", alternative)
    call("send (merge data)", merged)
    call("send (template)", from_template)
    json.dump(results, sys.stdout)


main()
