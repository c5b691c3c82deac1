"""What has to change in main.cf and master.cf so that mail passes the filter. Pure.

Not the edits themselves (`postfix`). What is there stays: other milters keep their order behind ours, since
what signs must sign the final octets (docs/postfix.md); a value that is right already is left as it is
written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from engagement.settings import Settings
from engagement.settings.schema import SeveralRecipients
from smtpapi.setup import milters, samples
from smtpapi.setup.postfix_config import PostfixConfig, Service

OURS: Final = "smtpapi_milter"  # the parameter that says how to reach the filter
_LIMITS: Final = "connect_timeout=5s, command_timeout=10s, content_timeout=60s, default_action=tempfail"
_LISTS: Final = ("smtpd_milters", "non_smtpd_milters")
HOP_MAP: Final = "smtpapi_hop"


class Unfit(Exception):
    """Postfix cannot reach the filter as the two are configured. The text says which line to change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Arguments of postconf(1), in their order.

    files: contents by name, in Postfix's folder. notes: for people.
    """

    parameters: dict[str, str] = field(default_factory=dict)  # postconf -e
    service_options: dict[str, str] = field(default_factory=dict)  # postconf -P
    services: dict[str, str] = field(default_factory=dict)  # postconf -M
    files: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def plan(config: PostfixConfig, settings: Settings) -> Plan:
    """Return what to change, nothing where all is right. Raises Unfit."""
    made = Plan()
    queue = config.queue_directory
    socket = milters.seen_from(settings.milter.socket, queue)
    endpoint = milters.endpoint_for(socket, queue)
    hop = settings.rewriting.several_recipients is SeveralRecipients.SPLIT
    hop_service = f"{settings.rewriting.split_listener}/inet" if hop else ""
    _refuse_unreachable(config, settings, endpoint)
    for name in _LISTS:
        updated = with_ours(config, settings, config.written.get(name, ""), config.value(name))
        if updated is not None:
            made.parameters[name] = updated
    notes = []
    for service in config.smtpds():
        own = service.own.get("smtpd_milters")
        if own is None or service.place == hop_service:
            continue
        if not own:
            notes.append(
                f"smtpd {service.name} has no milters (-o smtpd_milters=), and was left so: mail that comes "
                "in "
                "there is not tracked. That is right behind a content filter."
            )
        elif (updated := with_ours(config, settings, own, service.options["smtpd_milters"])) is not None:
            made.service_options[f"{service.place}/smtpd_milters"] = updated
    if hop:
        _plan_hop(config, settings, made)
    needed = (made.parameters, made.service_options, config.written)
    if any(f"${OURS}" in value for part in needed for value in part.values()):
        value = f"{{ {endpoint}, {_LIMITS} }}"
        current = milters.read(config.written.get(OURS, ""))
        if len(current) != 1 or not milters.same_place(current[0].endpoint, socket, queue):
            made.parameters.setdefault(OURS, value)
    return Plan(made.parameters, made.service_options, made.services, made.files, tuple(notes))


def with_ours(config: PostfixConfig, settings: Settings, written: str, value: str) -> str | None:
    """Return a list of milters with ours in its place, None where it is right as it is.

    written: as the file has it. value: the same with `$name` filled in.
    """
    queue = config.queue_directory
    socket = milters.seen_from(settings.milter.socket, queue)
    in_force = milters.read(value)
    places = [n for n, each in enumerate(in_force) if milters.same_place(each.endpoint, socket, queue)]
    if places and not any(each.signs for each in in_force[: places[0]]):
        return None
    if any(each.text.strip("${}()") in _LISTS for each in milters.read(written) if each.text[0] == "$"):
        return None  # it gets the filter from the list that it names
    others = [
        each.text
        for each in milters.read(written)
        if each.text != f"${OURS}" and not milters.same_place(each.endpoint, socket, queue)
    ]
    return milters.written([f"${OURS}", *others])


def _refuse_unreachable(config: PostfixConfig, settings: Settings, endpoint: str) -> None:
    """Raise Unfit for a socket outside the folder that a chrooted smtpd sees."""
    shut_in = [each.name for each in config.smtpds() if each.chroot]
    if endpoint.startswith("unix:/") and shut_in:
        where = settings.origins.get(("milter", "socket"))
        place = f"{where.file}:{where.line}: " if where and where.line else ""
        raise Unfit(
            f"{place}milter.socket is {settings.milter.socket}, and smtpd {', '.join(shut_in)} runs in a "
            f"chroot, from where it sees nothing outside {config.queue_directory}: say socket = "
            f'"unix:{config.queue_directory}/smtpapi/milter.sock" in milter {{ }}'
        )


def _plan_hop(config: PostfixConfig, settings: Settings, made: Plan) -> None:
    """Plan the way round for mail to several recipients, as etc/postfix/*.hop have it."""
    address, _, port = settings.rewriting.split_listener.rpartition(":")
    for entry in samples.entries(samples.text("master.cf.hop")):
        entry = entry.replace("127.0.0.1:10026", f"{address}:{port}", 1)
        if address.startswith("["):
            entry = entry.replace("127.0.0.0/8", f"{address}/128")
        place = "/".join(entry.split()[:2])
        if not _is_there(config.service(place), entry):
            made.services[place] = entry
    table = f"regexp:{config.folder}/{HOP_MAP}"
    tables = config.written.get("milter_header_checks", "")
    if table not in re.split(r"[\s,]+", tables):
        made.parameters["milter_header_checks"] = ", ".join(filter(None, (table, tables)))
    if config.written.get("split_destination_recipient_limit") != "1":
        made.parameters["split_destination_recipient_limit"] = "1"
    hop_milters = config.written.get("smtpapi_hop_milters", "")
    if not hop_milters:
        first = milters.read(config.written.get("smtpd_milters", ""))
        signers = [each.text for each in first if each.signs]
        made.parameters["smtpapi_hop_milters"] = milters.written([f"${OURS}", *signers])
    else:
        filled = hop_milters.replace(f"${OURS}", config.value(OURS))
        if (updated := with_ours(config, settings, hop_milters, filled)) is not None:
            made.parameters["smtpapi_hop_milters"] = updated
    cleanup = config.service("cleanup/unix")
    if cleanup is not None and cleanup.own.get("message_size_limit") != "0":
        made.service_options["cleanup/unix/message_size_limit"] = "0"
    text = samples.text(HOP_MAP).replace("127.0.0.1", address).replace(":10026", f":{port}")
    text = text.replace(f"[{address}]", f"[{address.strip('[]')}]")
    path = config.folder / HOP_MAP
    if not path.is_file() or path.read_text("utf-8", "replace") != text:
        made.files[HOP_MAP] = text.encode()


def _is_there(service: Service | None, entry: str) -> bool:
    """Return whether master.cf has this entry: the same program with these options."""
    if service is None:
        return False
    return service.command == entry.split()[7] and _options(entry) == dict(service.own)


def _options(entry: str) -> dict[str, str]:
    columns = entry.split()
    pairs: Iterator[tuple[str, str, str]] = (
        word.partition("=") for before, word in pairwise(columns[7:]) if before == "-o"
    )
    return {name: value for name, _, value in pairs}
