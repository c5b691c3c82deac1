"""Policy from its file, if root may run what it says.

Not what is in it (`hooks`).
"""

import os
from collections.abc import Iterable
from pathlib import Path

from engagement.settings.settings import Settings
from smtpapi.policy.hooks import Policy, PolicyError, parse
from smtpapi.policy.ownership import weakness


def load_named(config: Path, settings: Settings) -> Policy | None:
    """The policy that a configuration names, None if it names none. Raises `PolicyError`."""
    if not settings.policy.file:
        return None
    origin = settings.origins.get(("policy", "file"))
    named_in = (config, Path(origin.file)) if origin is not None and origin.file else (config,)
    return load(Path(settings.policy.file), named_in=named_in)


def load(path: Path, named_in: Iterable[Path] = ()) -> Policy:
    """Reads and runs a policy file's top level. Raises `PolicyError`.

    named_in: the configuration's files. As root nothing is run that others can write.
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
