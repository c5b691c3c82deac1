"""Warnings about things that a valid configuration names: files, Postfix, and domains of links sent before.

Not the errors and warnings of the configuration's own text, which `engagement.settings` finds.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from engagement import objections
from engagement.classify.networks import AsDatabase
from engagement.classify.read import RulesError, read_rules
from engagement.extras import NotInstalledError
from engagement.links import domains_file
from engagement.links.keys import RingError
from engagement.links.ring_file import load_ring
from engagement.settings import Settings
from engagement.settings.scopes import listen_of
from engagement.tracking_domains.copy_file import CopyFile
from smtpapi.doctor.mta import proxy_filter
from smtpapi.policy import files as policies
from smtpapi.policy import hooks
from smtpapi.request import customers
from smtpapi.setup import postfix_config

_ERRORS = (
    RingError,
    hooks.PolicyError,
    objections.ObjectionsError,
    RulesError,
    NotInstalledError,
    ValueError,
)


def of_files(config: Path, settings: Settings) -> Iterator[str]:
    """Yield a warning for each file that a configuration names and that this user could not use."""
    readers: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
        ("keys", "ring", load_ring),
        ("privacy", "objections", objections.load),
        ("classify", "rules", read_rules),
        ("customers", "map", customers.read),
        ("classify", "as_database", AsDatabase),
        ("tracker", "apple_app_site_association", Path.read_bytes),
        ("tracker", "assetlinks", Path.read_bytes),
    )
    for stanza, option, read in readers:
        if stanza == "privacy":
            yield from _of_policy(config, settings)
        named = settings.origins.get((stanza, option))
        if named is None or not named.value:
            continue
        try:
            read(Path(str(named.value)))
        except _ERRORS as error:
            yield f"{named.file}:{named.line}: {option}: {error}"
        except OSError as error:
            yield f"{named.file}:{named.line}: {option}: {named.value}: {error.strerror}"


def _of_policy(config: Path, settings: Settings) -> Iterator[str]:
    """Yield what keeps the policies from loading, or what in them may not do what it seems to."""
    named = settings.origins.get(("policy", "file"))
    place = f"{named.file}:{named.line}: file" if named is not None else str(config)
    try:
        policy = policies.load_named(config, settings)
    except (hooks.PolicyError, NotInstalledError) as error:
        yield f"{place}: {error}"
        return
    yield from policies.notices(policy)


def of_postfix(folder: Path | None, settings: Settings) -> Iterator[str]:
    """Yield warnings where Postfix does not pass mail to the filter. folder: its configuration, or None."""
    if folder is None:
        return
    hop = listen_of(settings.rewriting.split_listener)
    try:
        yield from proxy_filter.advice(postfix_config.read(folder), hop.port if hop else None)
    except postfix_config.Unreadable as error:
        yield f"--postfix: {error}"


def of_domains(settings: Settings) -> Iterator[str]:
    """Yield a warning for each domain in links still alive that this configuration no longer names."""
    directory = Path(settings.spool.directory)
    try:
        used = domains_file.read(directory)
    except (OSError, ValueError) as error:
        yield f"{directory}: which domains stand in links sent before cannot be read: {error}"
        return
    named = {domains_file.host_of(each) for each in (*settings.tracking_domains(), *settings.tracker.hosts)}
    if settings.entered_domains.enabled:
        named |= CopyFile(Path(settings.entered_domains.snapshot), lambda _text: None).current().names
    now = time.time()
    for each in used:
        name = domains_file.host_of(each.domain)
        if each.until > now and name not in named and not settings.tracker.any_host:
            last, until = (_day(moment) for moment in (each.last, each.until))
            yield (
                f"tracker.hosts: links to {name} were sent until {last} and live until {until}, and nothing "
                f'here names it any more: add "{name}" to hosts in tracker {{ }}, and keep its DNS record, '
                "its certificate and its place in the proxy in front"
            )


def _day(moment: int) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "for ever"
