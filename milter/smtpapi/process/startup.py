"""Load what the parent needs before it serves: configuration, policy, key ring, and the account to run as.

Not the serving itself (`supervisor`).
"""

import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engagement.links.keys import Ring, RingError
from engagement.links.ring_file import load_ring
from engagement.settings import Settings, SettingsError, load_file
from smtpapi.policy import hooks
from smtpapi.policy.files import load_named
from smtpapi.request.customers import CustomersError, by_login
from smtpapi.telemetry import maillog


class StartError(Exception):
    """The filter cannot start, or not with the new configuration. The text has one line for each problem."""


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """Everything that a worker is made from, read and checked together.

    customer_of: returns the id of the customer that a login belongs to, "" where there is none.
    """

    settings: Settings
    policy: hooks.AnyPolicy | None
    ring: Ring
    customer_of: Callable[[str], str]


def load(path: Path) -> LoadedConfiguration:
    """Read configuration, policy and key ring. Raises StartError if one of them cannot be used."""
    try:
        settings = load_file(path)
        policy = load_named(path, settings)
        customer_of = by_login(settings.customers)
        ring = load_ring(Path(settings.keys.ring))
    except (SettingsError, hooks.PolicyError, CustomersError, RingError) as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"{error.filename or path}: {error.strerror or error}") from error
    except Exception as error:  # a fault of ours or of a policy must not end a parent that serves
        raise StartError(f"{path}: {type(error).__name__}: {error}") from error
    return LoadedConfiguration(settings, policy, ring, customer_of)


def account_of(settings: Settings) -> pwd.struct_passwd | None:
    """Return the account to switch to after binding, None to keep the current one.

    Root stays root only where the configuration says so (`user = "root"`), since mail comes from strangers.
    Raises StartError where root has no user to become, or the user or group does not exist.
    """
    if os.geteuid() != 0:
        return None
    name = settings.milter.user
    if not name:
        raise StartError(
            "milter.user is not set, and the filter does not work as root: name the user it shall become in "
            'milter { user = "…" } (or "root" if you must)'
        )
    try:
        account = pwd.getpwnam(name)
        group = grp.getgrnam(settings.milter.group).gr_gid if settings.milter.group else account.pw_gid
    except KeyError as error:
        raise StartError(f"milter.user, milter.group: {error.args[0]}; make it, or name another") from error
    return pwd.struct_passwd((*account[:3], group, *account[4:]))


def become(account: pwd.struct_passwd | None) -> None:
    """Switch to the account for good; do nothing for None or root. Raises OSError where that fails."""
    if account is not None and account.pw_uid != 0:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)


def report_changes(old: Settings, new: Settings) -> None:
    """Log the changed settings that need a restart, and the warnings of a new configuration."""
    for name in ("socket", "user", "group", "counters_directory"):
        if getattr(old.milter, name) != getattr(new.milter, name):
            maillog.needs_restart(f"milter.{name}")
    if old.metrics.milter != new.metrics.milter:
        maillog.needs_restart("metrics.milter")
    maillog.set_level(new.smtpapi.debug_level if new.smtpapi else "ERROR")
    for text in (*new.notices, *new.warnings):
        maillog.notice(text)
