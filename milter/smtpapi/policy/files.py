"""Load the policies that a configuration names, if root may run what their files say.

`hooks` reads what is in a Python file, `lua` runs Lua. Python runs before Lua; of the Lua scripts
`policy { file }` comes first, then those of `scriptlet { }` in their order.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from engagement.extras import need
from engagement.settings.settings import Settings
from smtpapi.policy.hooks import AnyPolicy, Policies, Policy, PolicyError, parse
from smtpapi.policy.ownership import weakness

_LUA = ".lua"


def load_named(config: Path, settings: Settings) -> AnyPolicy | None:
    """Load the policies that a configuration names, None if it names none. Raises `PolicyError`."""
    found: list[AnyPolicy] = []
    scripts: list[tuple[Path, tuple[Path, ...]]] = []
    file = settings.policy.file
    if file:
        origin = settings.origins.get(("policy", "file"))
        named_in = (config, Path(origin.file)) if origin is not None and origin.file else (config,)
        if file.endswith(_LUA):
            scripts.append((Path(file), named_in))
        else:
            found.append(load(Path(file), named_in=named_in))
    named = {path.resolve() for path, _ in scripts}  # a file that both stanzas name runs once
    scripts += [
        (Path(each.file), (config, Path(each.named_in)))
        for each in settings.scripts
        if Path(each.file).resolve() not in named
    ]
    if scripts:
        found.append(_lua(scripts, settings, config))
    if not found:
        return None
    return found[0] if len(found) == 1 else Policies(found)


def notices(policy: AnyPolicy | None) -> tuple[str, ...]:
    """Return what a loaded policy has to say to the operator."""
    return policy.notices if policy is not None else ()


def load(path: Path, named_in: Iterable[Path] = ()) -> Policy:
    """Load a Python policy by running its file's top level.

    named_in: the configuration's files. Raises `PolicyError` for a file that cannot be read or does not load,
    and, as root, for one that others than root can change.
    """
    return parse(_read(path, named_in), str(path))


def _lua(scripts: list[tuple[Path, tuple[Path, ...]]], settings: Settings, config: Path) -> AnyPolicy:
    # Lua is an extra of the filter: a site without Lua policies needs none of it.
    need("milter", "lupa.lua51", "regex", "dns.resolver")
    from smtpapi.policy.lua.library.datasource import DataSources
    from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
    from smtpapi.policy.lua.state import Limits

    declared = settings.policy
    return LuaPolicy(
        [LuaSource(path, _read(path, named_in)) for path, named_in in scripts],
        lambda path: _read(path, ()),
        ignored=frozenset(declared.ignore),
        binding_header=declared.binding_header,
        data=DataSources(settings.datasources),
        limits=Limits(declared.lua_instructions, declared.lua_memory, declared.lua_time / 1000),
        folders=(config.parent,),
    )


def _read(path: Path, named_in: Iterable[Path]) -> bytes:
    """Return a policy file's text. Raises `PolicyError` as `load` does."""
    try:
        if os.geteuid() == 0:
            for each in (path, *named_in):
                if (found := weakness(each)) is not None:
                    raise PolicyError(f"{path}: policy is not run as root, since {found}")
        return path.read_bytes()
    except OSError as error:
        raise PolicyError(f"{path}: cannot read the policy file: {error.strerror}") from None
