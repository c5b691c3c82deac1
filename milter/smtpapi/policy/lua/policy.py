"""A site's Lua scripts as one policy: loaded as a whole, then run by states that serve one message each.

A state is an interpreter in which all scripts were loaded (`state`). Each message borrows one for all its
hooks. So what a script keeps in globals lasts as long as its state, and no longer than the configuration:
nothing that must last belongs there. Threads share the policy; a state is one message's at a time.

Invariants: scripts load as a whole or raise `PolicyError`; whatever goes wrong in a hook becomes a
`PolicyFailed` with the script's own file and line; a state that met a limit serves nobody any more.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from smtpapi.policy.hooks import HookCall, PolicyError, PolicyFailed
from smtpapi.policy.lua import calls
from smtpapi.policy.lua.dialect import DialectError, translate
from smtpapi.policy.lua.host import Host
from smtpapi.policy.lua.library.cidr import NetworkLists
from smtpapi.policy.lua.library.datasource import DataSources
from smtpapi.policy.lua.library.functions import Shared
from smtpapi.policy.lua.scan import findings
from smtpapi.policy.lua.state import Limits, LuaFault, LuaState, Script
from smtpapi.policy.lua.threads import OwnThreads
from smtpapi.policy.traffic import TRAFFIC

_MOST_WAITING = 64  # states that are kept for later; a worker seldom serves more messages at once
_SHOWN = 300  # characters of an error, which leaves room for its place among the 500 of `telemetry.maillog`
# Names in a script that may ask what clients did lately.
_TRAFFIC = frozenset({b"audit", b"inbound_session_count", b"pbp_inbound_session_count_service"})


class LuaSource(NamedTuple):
    """A script as it was read. path: of its file."""

    path: Path
    text: bytes


class LuaPolicy:
    """The loaded scripts of one configuration. notices: what to report to the operator about them."""

    def __init__(
        self,
        sources: Sequence[LuaSource],
        read: Callable[[Path], bytes],
        *,
        ignored: frozenset[str] = frozenset(),
        binding_header: str = "",
        data: DataSources | None = None,
        limits: Limits | None = None,
        folders: tuple[Path, ...] = (),
    ) -> None:
        """Load the scripts, in this order.

        read: reads a module's file, which may raise PolicyError and OSError. ignored: calls and hooks that do
        nothing here. binding_header: the field that names the chosen binding to the MTA, "" for none.
        folders: where modules and lists are looked for, besides the scripts' own. Raises `PolicyError`.
        """
        self.path = str(sources[0].path) if sources else ""
        self._limits = limits or Limits()
        self._read = read
        self._ignored = ignored | calls.ROUTING if binding_header else ignored
        self._folders = tuple(dict.fromkeys((*(each.path.parent for each in sources), *folders)))
        self.usable = frozenset(calls.HOOKS) - ignored  # hooks that run if a module has them
        self._modules: dict[str, Script] = {}
        self._never_called: dict[str, str] = {}  # hooks that no milter comes to, and where they stand
        self._shared = Shared(
            self._ignored,
            NetworkLists(self._folders),
            data or DataSources({}),
            self._module,
            self._folders[0],
            binding_header,
        )
        self._scripts = [self._translated(each) for each in sources]
        self._waiting: list[_Servant] = []
        self._threads = OwnThreads()
        first = _Servant(self)
        self.hooks = first.hooks()
        self._waiting.append(first)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the scripts said while they were loaded, and what in them may not do what it seems to."""
        return tuple(dict.fromkeys(self._shared.notices))

    def call(self, hook: str, call: HookCall) -> bool:
        """Call a hook of each module that has it; return whether one ended the phase.

        Raises `PolicyFailed`.
        """
        if hook not in self.hooks:
            return False
        servant = call.msg.memo.get(self)
        if not isinstance(servant, _Servant):
            servant = self._borrowed()
            call.msg.memo[self] = servant
            call.msg.when_done(servant.give_back)
        return servant.call(hook, call)

    def within(self, call: Callable[[], None]) -> None:
        """Run a series of hooks in a thread in which Lua can run. Raises what the call raises."""
        self._threads.run(call)

    def _borrowed(self) -> "_Servant":
        """Return a state that serves nobody, a new one where all are at work. Raises `PolicyFailed`."""
        try:
            return self._waiting.pop()
        except IndexError:
            pass
        try:
            return _Servant(self)
        except PolicyError as error:  # it loaded once; what `init` reads may be gone
            raise PolicyFailed(str(error)) from None

    def give_back(self, servant: "_Servant") -> None:
        """Keep a state for the next message."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(servant)

    def new_state(self) -> tuple[LuaState, Host]:
        """Return a state with all scripts in it. Raises `PolicyError`."""
        host = Host(self._shared)
        state = LuaState(host.functions(), self._limits)
        name = self._scripts[0].name
        try:
            for script in self._scripts:
                name = script.name
                state.load(script)
            state.begin()
        except LuaFault as fault:
            state.close()
            raise PolicyError(self.describe(fault, name)) from None
        return state, host

    def describe(self, fault: LuaFault, name: str = "") -> str:
        """Return where a fault came from and what it is, in one line."""
        text = " ".join(fault.text.split())[:_SHOWN]
        source = fault.source or name
        place = f"{source.removeprefix('@')}:{fault.line or 1}: " if source else ""
        return f"{place}{text}"

    def check(self, modules: Sequence[tuple[str, int, tuple[str, ...]]]) -> None:
        """Check the functions of the registered modules, one of which must be a hook that runs.

        modules: (module, line of registration, names). Raises `PolicyError`.
        """
        runs = self.usable | self._ignored
        usable = runs.union(calls.LIFE_CYCLE)
        for module, line, names in modules:
            refused = [name for name in names if calls.is_refused_hook(name)]
            if refused and runs.isdisjoint(names):
                place = self._never_called.get(refused[0], f"{self.path}:{line or 1}: module {module}")
                raise PolicyError(f"{place}: {calls.refused(refused[0])}")
        if all(usable.isdisjoint(names) for _, _, names in modules):
            expected = ", ".join(calls.HOOKS)
            raise PolicyError(
                f"{self.path}:1: no module with a hook is registered; expected one of {expected}"
            )

    def _translated(self, source: LuaSource) -> Script:
        """Return a script as plain Lua, once nothing in it is refused. Raises `PolicyError`."""
        try:
            text, tokens = translate(source.text)
        except DialectError as error:
            raise PolicyError(f"{source.path}:{error.line}: {error}") from None
        if any(token.text in _TRAFFIC for token in tokens):
            TRAFFIC.noting = True
        fatal = []
        for finding in findings(tokens, self._ignored):
            message = f"{source.path}:{finding.line}: {finding.what}"
            if finding.hook:
                self._never_called.setdefault(finding.name, f"{source.path}:{finding.line}")
            if finding.fatal:
                fatal.append(message)
            else:
                self._shared.notices.append(message)
        if fatal:
            more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
            raise PolicyError(fatal[0] + more)
        return Script(text, f"@{source.path}")

    def _module(self, name: str) -> Script:
        """Return a module of the policy's own, for `require`. Raises LookupError with what is wrong."""
        found = self._modules.get(name)
        if found is None:
            try:
                found = self._modules[name] = self._found(name)
            except (PolicyError, OSError) as error:
                raise LookupError(str(error)) from None
        return found

    def _found(self, name: str) -> Script:
        if calls.refused_module(name) and name not in self._ignored:
            raise LookupError(f"require {calls.refused(name)}")
        if ".." in name or name.startswith(("/", "msys.")):
            raise LookupError(f"module '{name}' is not offered here ({calls.PAGE})")
        relative = Path(name.replace(".", "/") + ".lua")
        for folder in self._folders:
            if (folder / relative).is_file():
                path = folder / relative
                return self._translated(LuaSource(path, self._read(path)))
        places = ", ".join(map(str, self._folders))
        raise LookupError(
            f"module '{name}' is not offered here ({calls.PAGE}), nor is {relative} in {places}"
        )


class _Servant:
    """A state at work for one message."""

    def __init__(self, policy: LuaPolicy) -> None:
        self._policy = policy
        self._state, self._host = policy.new_state()
        self._fresh = True

    def hooks(self) -> frozenset[str]:
        """Return the names of the hooks that run, and check them all. Raises `PolicyError`."""
        found = self._state.hooks((*calls.HOOKS, *calls.NO_HOOKS))
        self._policy.check(found)
        return self._policy.usable.intersection(name for _, _, names in found for name in names)

    def call(self, hook: str, call: HookCall) -> bool:
        """Call a hook. Raises `PolicyFailed`."""
        shape = calls.HOOKS[hook]
        self._host.bind(call)
        try:
            return self._state.call(hook, _LINES.get(hook, "{}").format(call.word), shape, fresh=self._fresh)
        except LuaFault as fault:
            described = self._policy.describe(fault)
            raise PolicyFailed(
                f"{described} ({hook})" if fault.line else f"{self._policy.path}:1: {hook}: {described}"
            ) from None
        finally:
            self._fresh = False

    def give_back(self) -> None:
        """End the work on a message."""
        self._host.bind(None)
        self._fresh = True
        if self._state.used_up:
            self._policy.within(self._state.close)
        else:
            self._policy.give_back(self)


# What the hooks are given that are given a command's line (docs/policy-lua.md).
_LINES = {
    "validate_ehlo": "EHLO {}",
    "validate_mailfrom": "MAIL FROM:<{}>",
    "validate_rcptto": "RCPT TO:<{}>",
}
