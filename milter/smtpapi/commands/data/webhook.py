"""`smtpapi webhook`: add, test, pause and remove webhooks, and have batches sent again."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engagement.extras import need
from engagement.registry import open_registry
from engagement.registry.port import RegistryError
from engagement.settings import load_file
from engagement.stores import open_store
from engagement.terminal import printable
from smtpapi.commands.options import config_option, exit_on_error, say

if TYPE_CHECKING:
    from engagement.webhooks.service import WebhookService


@click.group()
def command() -> None:
    """Add, test, pause and remove webhooks, and have batches sent again.

    `smtpapi webhooks` is the program that sends; it follows within seconds.

    Exit status: 1 when it could not be done, 2 for a broken configuration or wrong arguments.
    """


_id = click.argument("webhook")
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@command.command()
@config_option
@click.argument("name")
@click.argument("target")
@click.option(
    "--events",
    metavar="TYPES",
    required=True,
    help="Types of events, with commas between them; `all` for every type there is now.",
)
@click.option("--user", default="", metavar="NAME", help="Basic authentication; asks for the password.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header field of yours, up to five."
)
@click.option("--sign", is_flag=True, help="Sign batches (Standard Webhooks); prints the secret, this once.")
@click.option("--corrections", is_flag=True, help="Send hits again that are judged anew, with x_corrects.")
@click.option(
    "--more", type=click.File("r"), help="A file with other fields of the API as a JSON object; - for stdin."
)
def add(
    config: Path,
    name: str,
    target: str,
    events: str,
    user: str,
    headers: tuple[str, ...],
    sign: bool,
    corrections: bool,
    more: Any,
) -> None:
    """Add a webhook NAME that sends to the URL TARGET, once it has answered a test with 200."""
    fields: dict[str, Any] = _object(more) if more else {}
    fields |= {"name": name, "target": target, "events": _types(events)}
    if user:
        password = click.prompt("Password", hide_input=True)
        fields |= {"auth_type": "basic", "auth_credentials": {"username": user, "password": password}}
    if headers:
        fields["custom_headers"] = dict(_header(each) for each in headers)
    fields |= {"x_sign": True} if sign else {}
    fields |= {"x_corrections": True} if corrections else {}
    with _service(config) as service:
        made = service.create(fields)
        say(made["id"])
        for secret in made.get("x_signing_secrets", []):
            say(f"signed with {secret}")


@command.command("import")
@config_option
@click.argument("file", type=click.File("r"))
def seed(config: Path, file: Any) -> None:
    """Add the webhooks of Momentum's JSON FILE: events, target, name, auth_token, custom_headers of each."""
    try:
        found = json.load(file)
    except ValueError as error:
        raise click.UsageError(f"{file.name}: no JSON: {error}") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise click.UsageError(f"{file.name}: an array of objects is wanted")
    with _service(config) as service:
        for number, each in enumerate(found, 1):
            made = service.create({"name": f"webhook {number}"} | each)
            say(f"{made['id']}  {each['target']}")


def _object(file: Any) -> dict[str, Any]:
    try:
        fields = json.load(file)
    except ValueError as error:
        raise click.UsageError(f"--more: no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise click.UsageError("--more: a JSON object is wanted")
    return fields


def _types(text: str) -> list[str]:
    from engagement.events.fields import ALL_TYPES

    return list(ALL_TYPES) if text == "all" else [each.strip() for each in text.split(",") if each.strip()]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"--header: {text!r:.60} has no colon")
    return name.strip(), value.strip()


@command.command("list")
@config_option
@_json
def show_all(config: Path, as_json: bool) -> None:
    """Print the webhooks, one a line: id, state, name, target."""
    with _service(config) as service:
        found = service.listed()
        if as_json:
            say(json.dumps(found))
            return
        for each in found:
            say(printable(f"{each['id']}  {_state(each)}  {each['name']}  {each['target']}"))


def _state(view: dict[str, Any]) -> str:
    if "x_paused" in view:
        return "paused"
    if not view["active"]:
        return "inactive"
    return "failing" if "x_failing_since" in view else "active"


@command.command()
@config_option
@_id
@click.option("--batches", is_flag=True, help="Its batches that are kept, newest first.")
@_json
def show(config: Path, webhook: str, batches: bool, as_json: bool) -> None:
    """Print what is known of a webhook; secrets are masked."""
    with _service(config) as service:
        found: Any = service.batches(webhook) if batches else service.detail(webhook)
        if as_json:
            say(json.dumps(found))
        elif batches:
            for each in found:
                code = each.get("response_code") or each.get("failure_code") or "-"
                say(
                    f"{each['batch_id']}  {each['ts']}  {each['state']}  {each['events']} event(s)  "
                    f"{each['attempts']} failed  {code}"
                )
        else:
            for name, value in found.items():
                if name != "links":
                    say(printable(f"{name:22} {value if isinstance(value, str) else json.dumps(value)}"))


@command.command()
@config_option
@_id
def test(config: Path, webhook: str) -> None:
    """Send an empty batch as a test; a paused webhook goes on if it is answered with 200."""
    with _service(config) as service:
        say(f"{service.validate(webhook)['msg']}: status 200")


@command.command()
@config_option
@_id
def pause(config: Path, webhook: str) -> None:
    """Let a webhook wait. What comes in meanwhile is sent when it goes on."""
    with _service(config) as service:
        service.pause(webhook)
        say(f"paused: {webhook}")


@command.command()
@config_option
@_id
@click.option("--skip", is_flag=True, help="Leave out what came in while it was paused.")
def resume(config: Path, webhook: str, skip: bool) -> None:
    """Let a webhook go on, first with what it missed."""
    with _service(config) as service:
        service.resume(webhook, skip=skip)
        say(f"goes on: {webhook}")


@command.command()
@config_option
@_id
@click.option("--from", "since", metavar="TIME", help="Batches made since, such as 2026-11-01T08:00 (UTC).")
@click.option("--to", "until", metavar="TIME", help="With --from: up to here, not included.")
@click.option("--batch", "batches", multiple=True, metavar="ID", help="One batch; may be given again.")
def replay(
    config: Path, webhook: str, since: str | None, until: str | None, batches: tuple[str, ...]
) -> None:
    """Send batches again, delivered or not, under the same ids."""
    data: dict[str, Any] = {"batch_ids": list(batches)} if batches else {}
    data |= {"from": since} if since else {}
    data |= {"to": until} if until else {}
    with _service(config) as service:
        replay_answer = service.replay(webhook, data)
        say(f"{replay_answer['count']} batch(es) will be sent again")
        if span := replay_answer.get("x_from_store"):
            say(f"Events from {span[0]} to {span[1]}, whose batches are kept no more, come from the store.")


@command.command()
@config_option
@_id
def remove(config: Path, webhook: str) -> None:
    """Remove a webhook. Batches in its queue are still sent, for eight hours at most."""
    with _service(config) as service:
        service.delete(webhook)
        say(f"removed: {webhook}")


@contextmanager
def _service(config: Path) -> Iterator["WebhookService"]:
    need("webhooks", "urllib3")
    from engagement.webhooks.sending.build import service_of
    from engagement.webhooks.service import WebhookError

    with exit_on_error():
        settings = load_file(config)
        try:
            with closing(open_registry(settings)) as registry, closing(open_store(settings)) as store:
                yield service_of(settings, registry, store)
        except WebhookError as error:
            for each in error.errors:
                response = each.get("response")
                say(
                    printable(
                        each["message"]
                        + (f": {response['status']} {response['body']:.200}" if response else "")
                    ),
                    err=True,
                )
            sys.exit(1)
        except RegistryError as error:
            say(str(error), err=True)
            sys.exit(1)
