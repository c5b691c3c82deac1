"""Load a policy from its file, if root may run what the file says. `hooks` reads what is in it."""

import os
from collections.abc import Iterable
from pathlib import Path

from engagement.settings.settings import Settings
from smtpapi.policy.hooks import Policy, PolicyError, parse
from smtpapi.policy.ownership import weakness


def load_named(config: Path, settings: Settings) -> Policy | None:
    """Load the policy that a configuration names, None if it names none. Raises `PolicyError`."""
    if not settings.policy.file:
        return None
    origin = settings.origins.get(("policy", "file"))
    named_in = (config, Path(origin.file)) if origin is not None and origin.file else (config,)
    return load(Path(settings.policy.file), named_in=named_in)


def load(path: Path, named_in: Iterable[Path] = ()) -> Policy:
    """Load a policy by running its file's top level.

    named_in: the configuration's files. Raises `PolicyError` for a file that cannot be read or does not load,
    and, as root, for one that others than root can change.
    """
    try:
        if os.geteuid() == 0:
            for each in (path, *named_in):
                if (found := weakness(each)) is not None:
                    raise PolicyError(f"{path}: policy is not run as root, since {found}")
        source = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"{path}: cannot read the policy file: {error.strerror}") from None
    return parse(source, str(path))
