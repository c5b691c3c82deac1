"""Who asks the filter, in which order among other milters, and what happens when it does not answer."""

from collections.abc import Iterator
from typing import Final

from engagement.settings import Settings
from smtpapi.doctor.finding import Finding, Level
from smtpapi.setup import milters
from smtpapi.setup.milters import Milter
from smtpapi.setup.postfix_config import PostfixConfig, Service

CHECK: Final = "milters"
# The day of Postfix's fix for a filter that dies while it replaces a body (docs/reliability.md).
_BODY_FIX: Final = 20260821
_APPLY: Final = "smtpapi setup postfix --apply"


def ours_in(config: PostfixConfig, settings: Settings, value: str) -> tuple[list[Milter], int]:
    """Return a list of milters and the place of the filter in it, -1 where it is not there."""
    found = list(milters.read(value))
    for place, each in enumerate(found):
        if milters.same_place(each.endpoint, settings.milter.socket, config.queue_directory):
            return found, place
    return found, -1


def in_force(config: PostfixConfig, service: Service) -> str:
    """Return the milters that a service asks, "" where it asks none."""
    without = "no_milters" in config.value("receive_override_options", service)
    return "" if without else config.value("smtpd_milters", service)


def check(config: PostfixConfig, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the lists of milters."""
    lists = [(f"smtpd {each.name}", in_force(config, each), each) for each in config.smtpds()]
    lists = [each for each in lists if each[1]]
    filtered = 0
    for name, value, service in lists:
        found, place = ours_in(config, settings, value)
        if place < 0:
            continue
        filtered += 1
        yield from _check_order(name, found, place)
        yield from _check_absence(name, config, service, found[place])
    if not filtered:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"no smtpd of {config.folder} asks the filter at {settings.milter.socket}",
            "No mail is tracked that comes in by SMTP.",
            _APPLY,
        )
    else:
        yield Finding(CHECK, Level.OK, f"{filtered} smtpd of {len(config.smtpds())} ask the filter")
    if ours_in(config, settings, config.value("non_smtpd_milters"))[1] < 0:
        yield Finding(
            CHECK,
            Level.NOTE,
            "non_smtpd_milters does not name the filter",
            "Mail of sendmail(1), as cron and PHP send it, goes out untracked, with its X-MSYS-API in it.",
            _APPLY,
        )
    if settings.milter.socket.startswith("inet"):
        yield Finding(
            CHECK,
            Level.WARNING,
            f"the filter's socket is {settings.milter.socket}",
            "Over TCP each mail takes some 90 ms longer (two delayed acknowledgements).",
            f'socket = "unix:{config.queue_directory}/smtpapi/milter.sock" in milter {{ }}, then {_APPLY}',
        )


def _check_order(name: str, found: list[Milter], place: int) -> Iterator[Finding]:
    before = [each.endpoint for each in found[:place] if each.signs]
    if before:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{name} asks {', '.join(before)}, which signs, before the filter",
            "The filter changes what was signed: DKIM fails at every receiver, and signed mail is not "
            "tracked.",
            _APPLY,
        )


def _check_absence(name: str, config: PostfixConfig, service: Service, ours: Milter) -> Iterator[Finding]:
    action = ours.options.get("default_action") or config.value("milter_default_action", service)
    released = config.value("mail_release_date", service)
    old = not released.isdigit() or int(released) < _BODY_FIX
    line = "default_action=tempfail in the filter's braces in smtpd_milters (smtpapi setup postfix --apply)"
    if action == "accept" and old:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{name}: default_action=accept, with Postfix {config.value('mail_version')} of {released}",
            "When the filter dies while it replaces a body, this Postfix sends half of the old and half of "
            "the "
            "new one, or damages its queue file.",
            line,
        )
    elif action in ("accept", "quarantine", "reject"):
        result = {
            "accept": "goes out untracked, with X-MSYS-API and the hop's mark in it",
            "quarantine": "is put on hold until you release it",
            "reject": "is refused for good",
        }[action]
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{name}: default_action={action}",
            f"While the filter is away, mail {result}.",
            line,
        )
