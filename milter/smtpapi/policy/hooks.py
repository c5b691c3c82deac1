"""A site's policy: a Python file whose functions have the names of Momentum's hooks.

`phases` says when hooks run, and `smtpapi.request.decision` what their variables do. A policy runs in the
filter's own process with all its rights: it is the operator's code, as trusted as the configuration. A hook
that never returns cannot be stopped from here; the MTA's milter time-out ends the wait (docs/policy.md).

Invariants: a file loads as a whole or raises `PolicyError`; whatever a hook raises becomes a `PolicyFailed`
with the policy's own file and line.
"""

import difflib
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CodeType, MappingProxyType, ModuleType
from typing import NamedTuple, Protocol

from smtpapi.policy.core import VALIDATE_DONE
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage

# The hooks in the order of their phases, with Momentum's argument names.
HOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "validate_connect": ("ac", "vctx"),
        "validate_ehlo": ("ehlo", "ac", "vctx"),
        "validate_mailfrom": ("sender", "ac", "vctx"),
        "validate_rcptto": ("msg", "recipient", "ac", "vctx"),
        "validate_data": ("msg", "ac", "vctx"),
        "validate_data_spool": ("msg", "ac", "vctx"),
        "validate_data_spool_each_rcpt": ("msg", "ac", "vctx"),
    }
)


class PolicyError(ValueError):
    """Raised for a policy file that does not load. str(error): `file:line: what is wrong, what to do`."""


class PolicyFailed(RuntimeError):
    """Raised for a hook that raised. str(error): `file:line: hook: what was raised`, one line."""


class HookCall(NamedTuple):
    """What a hook is called with.

    word: the client's name, the sender or the recipient, where it is given one. recipient: whom the hook is
    about, "" for none in particular.
    """

    ac: Accept
    msg: PolicyMessage
    vctx: ValidationContext
    word: str = ""
    recipient: str = ""


class AnyPolicy(Protocol):
    """A policy in any language."""

    @property
    def hooks(self) -> frozenset[str]:
        """The names of the hooks that it has."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What its author should know, a line each."""

    def within(self, call: Callable[[], None]) -> None:
        """Run a series of hooks in a thread that suits the policy. Raises what the call raises."""

    def call(self, hook: str, call: HookCall) -> bool:
        """Call a hook if it is there; return whether it ends its phase. Raises `PolicyFailed`."""


class Policies:
    """Several policies in their order. One that says `VALIDATE_DONE` ends the phase for those after it."""

    def __init__(self, members: Sequence[AnyPolicy]) -> None:
        self._members = tuple(members)
        self.hooks = frozenset().union(*(member.hooks for member in members))
        self.notices = tuple(line for member in members for line in member.notices)

    def within(self, call: Callable[[], None]) -> None:
        """Run a series of hooks in a thread that suits all of them. Raises what the call raises."""
        for member in self._members:
            call = partial(member.within, call)
        call()

    def call(self, hook: str, call: HookCall) -> bool:
        """Call a hook of each policy that has it; return whether one ended the phase.

        Raises `PolicyFailed`.
        """
        return any(member.call(hook, call) for member in self._members if hook in member.hooks)


class Policy:
    """A loaded policy file."""

    def __init__(self, path: str, hooks: Mapping[str, Callable[..., object]]) -> None:
        self.path = path
        self.notices: tuple[str, ...] = ()
        self._hooks = hooks

    @property
    def hooks(self) -> frozenset[str]:
        """The names of the hooks that the file defines."""
        return frozenset(self._hooks)

    def within(self, call: Callable[[], None]) -> None:
        """Run a series of hooks. Raises what the call raises."""
        call()

    def call(self, hook: str, call: HookCall) -> bool:
        """Call a hook if the file has it; return whether it returned `VALIDATE_DONE`.

        Raises `PolicyFailed`.
        """
        if hook not in self._hooks:
            return False
        known = {"ac": call.ac, "msg": call.msg, "vctx": call.vctx}
        return self.run(hook, *(known.get(name, call.word) for name in HOOKS[hook])) == VALIDATE_DONE

    def run(self, hook: str, *arguments: object) -> object:
        """Call a hook if the file has it, and return what it returns. Raises `PolicyFailed` if it raises."""
        function = self._hooks.get(hook)
        if function is None:
            return None
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the operator's code may raise anything
            raise PolicyFailed(
                f"{self.path}:{_line(error, self.path)}: {hook}: {_error_text(error)}"
            ) from None


def parse(source: bytes | str, name: str) -> Policy:
    """Build a policy from its text; name stands for the file in errors. Raises `PolicyError`."""
    module = ModuleType("policy")
    module.__file__ = name
    try:
        code: CodeType = compile(source, name, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - the operator's own file, named in the configuration
    except SyntaxError as error:
        raise PolicyError(f"{error.filename or name}:{error.lineno or 1}: {error.msg}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the operator's code may raise anything
        raise PolicyError(f"{name}:{_line(error, name)}: {_error_text(error)}") from None
    hooks: dict[str, Callable[..., object]] = {}
    for attribute, value in vars(module).items():
        written_here = getattr(value, "__module__", None) == module.__name__
        if callable(value) and (attribute in HOOKS or (written_here and attribute.startswith("validate_"))):
            _check(attribute, value, name)
            hooks[attribute] = value
    if not hooks:
        raise PolicyError(f"{name}:1: no hook is defined; expected one of {', '.join(HOOKS)}")
    return Policy(name, MappingProxyType(hooks))


def _check(hook: str, function: Callable[..., object], name: str) -> None:
    """Check a hook's name and arguments at load; else it would never run, or fail for each mail.

    Raises `PolicyError`.
    """
    where = f"{name}:{getattr(getattr(function, '__code__', None), 'co_firstlineno', 1)}"
    if hook not in HOOKS:
        near = difflib.get_close_matches(hook, HOOKS, 1)
        meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(HOOKS)}"
        raise PolicyError(f"{where}: no hook is named {hook}; {meant}")
    if inspect.iscoroutinefunction(function):
        raise PolicyError(f"{where}: {hook} is async; a hook is an ordinary function")
    try:
        inspect.signature(function).bind(*HOOKS[hook])
    except TypeError:
        raise PolicyError(f"{where}: {hook} must take ({', '.join(HOOKS[hook])})") from None


def _line(error: BaseException, path: str) -> int:
    """Return the last line of the policy file that the error came through."""
    found = 1
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == path:
            found = line
    return found


def _error_text(error: BaseException) -> str:
    """Return an error's type and text in one line of at most 300 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
