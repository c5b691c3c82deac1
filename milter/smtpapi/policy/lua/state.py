"""One Lua state with a policy's scripts in it, and the limits that hold there.

A state serves one message at a time. What the functions do that a policy calls is in `host`; the Lua side of
them is in prelude/.

Invariants: a call ends at its limit, whatever the policy catches; a state that met a limit is used no more.
Hard bounds of memory stand far above the soft one, since Lua's own allocator ends the process where a call
from Python finds no room.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import NamedTuple

from lupa import lua51

_STEP = 1000  # instructions between two looks at the limits: some 12 µs (docs/policy-lua.md)
# Bytes between the limit and what the allocator refuses: far above the largest text of one call, 32 MiB.
_HEADROOM = 256 * 1024 * 1024
_PLACE = re.compile(r".*?:([0-9]+): (.*)", re.DOTALL)
_PRELUDE = ("sandbox", "messages", "helpers", "outside")

Function = Callable[..., object]


class Limits(NamedTuple):
    """The limits of one call of one hook. memory: bytes of the whole state. seconds: of the wall's clock."""

    instructions: int = 20_000_000
    memory: int = 32 * 1024 * 1024
    seconds: float = 2.0


class Script(NamedTuple):
    """A policy's text, translated. name: of the chunk, as "@/etc/smtpapi/policy.lua"."""

    text: bytes
    name: str


class LuaFault(Exception):
    """Raised for a call that failed. text: what. source, line: the chunk and its line, or "" and 0."""

    def __init__(self, text: str, source: str = "", line: int = 0, *, limit: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.source = source
        self.line = line
        self.limit = limit


class LuaState:
    """An interpreter. functions: what its prelude calls in Python, by name."""

    def __init__(self, functions: Mapping[str, Function], limits: Limits) -> None:
        self._limits = limits
        self._deadline = 0.0
        self._lua = lua51.LuaRuntime(
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            encoding=None,
            attribute_filter=_no_attribute,
            max_memory=limits.memory + _HEADROOM,
        )
        host = self._lua.table_from(
            {name.encode(): function for name, function in {**functions, "late": self._late}.items()}
        )
        sandbox = self._lua.execute(_prelude("sandbox"), host, _STEP)
        for name in _PRELUDE[1:]:
            self._lua.execute(_prelude(name), host, sandbox)
        self._chunk = sandbox[b"chunk"]
        self._limited = sandbox[b"limited"]
        self._run = sandbox[b"run"]
        self._begin = sandbox[b"begin"]
        self._modules = sandbox[b"modules"]
        self._close = sandbox[b"close"]
        self.used_up = False

    def load(self, script: Script) -> None:
        """Run a script's top level. Raises `LuaFault`."""
        function, problem = self._pair(self._chunk(script.text, script.name.encode()))
        if function is None:
            found = _PLACE.match(_text(problem))
            text, line = (found[2], int(found[1])) if found else (_text(problem), 1)
            raise LuaFault(text, script.name, line)
        self._call(function)

    def begin(self) -> None:
        """Call `init` of all modules. Raises `LuaFault`, also where it does not return true."""
        self._call(self._begin)

    def close(self) -> None:
        """Let go of all that Lua holds of Python, so that the interpreter can be freed."""
        with contextlib.suppress(lua51.LuaError):
            self._lua.set_max_memory(0)
            self._close()
        del self._lua, self._chunk, self._limited, self._run, self._begin, self._modules, self._close

    def hooks(self, names: Iterable[str]) -> list[tuple[str, int, tuple[str, ...]]]:
        """Return the registered modules: (module, line of registration, names of its functions).

        names: those that are also looked for where a module's table inherits them.
        """
        found = []
        for module in self._modules.values():
            table = module[b"hooks"]
            own = {_text(name) for name, value in table.items() if _is_function(value)}
            own.update(name for name in names if _is_function(table[name.encode()]))
            found.append((_text(module[b"name"]), int(module[b"line"]), tuple(sorted(own))))
        return found

    def call(self, hook: str, word: str, shape: str, *, fresh: bool) -> bool:
        """Call a hook of all modules that have it, in their order; return whether one ended the phase.

        word: the text that it is given. shape: its arguments by their letters (`calls.HOOKS`). fresh: whether
        this is the first hook of a message. Raises `LuaFault`.
        """
        octets = word.encode("utf-8", "surrogateescape")
        return self._call(self._run, hook.encode(), octets, fresh, shape.encode()) is True

    def _call(self, function: object, *arguments: object) -> object:
        limits = self._limits
        self._deadline = time.monotonic() + limits.seconds
        try:
            found = self._limited(limits.instructions, limits.memory // 1024, function, *arguments)
        except lua51.LuaError as error:
            self.used_up = True
            raise LuaFault(str(error).partition("\n")[0] or type(error).__name__, limit=True) from None
        if isinstance(found, tuple) and found[0] is False:
            _, text, source, line, limit = found
            self.used_up = bool(limit)
            raise LuaFault(_text(text), _text(source or b""), int(line), limit=bool(limit))
        if self._lua.get_memory_used(total=False) > limits.memory // 2:
            self.used_up = True
        return found[1] if isinstance(found, tuple) and len(found) > 1 else None

    @staticmethod
    def _pair(found: object) -> tuple[object, object]:
        return found if isinstance(found, tuple) else (found, None)

    def _late(self) -> bool:
        return time.monotonic() > self._deadline


def _is_function(value: object) -> bool:
    return lua51.lua_type(value) == "function"


def _prelude(name: str) -> bytes:
    return (resources.files(__package__) / "prelude" / f"{name}.lua").read_bytes()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _no_attribute(_object: object, name: object, _setting: object) -> str:
    raise AttributeError(name)
