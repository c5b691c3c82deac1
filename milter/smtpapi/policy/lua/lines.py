"""What a policy's Lua logs: with its message, or among the notices while it is loaded."""

from smtpapi.policy.lua.library.functions import Shared
from smtpapi.policy.views import PolicyMessage

_MOST = 100  # that the policies of one message log: a loop must not fill the log; a guess
_MOST_WARNINGS = 1000  # different ones that a policy logs: some name what a client sent; a guess
_LONGEST = 1000  # characters that are held; of a message's line `telemetry.maillog` shows 500
_WARNING = 4  # as syslog counts levels


class Lines:
    """The lines of one state. message: the one that it serves, None for none."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.message: PolicyMessage | None = None

    def print(self, level: int, text: bytes) -> None:
        """Log a line."""
        self._add(int(level), text.decode("utf-8", "replace"))

    def warn(self, text: bytes, source: bytes, line: int) -> None:
        """Log a warning about a line of a script, as `warn_once`."""
        self.warn_once(text.decode("utf-8", "replace"), source.decode("utf-8", "replace"), int(line))

    def warn_once(self, text: str, source: str = "", line: int = 0) -> None:
        """Log a warning, each once for the whole policy."""
        warning = f"{source.removeprefix('@')}:{line}: {text}" if source else text
        if warning not in self._shared.warned and len(self._shared.warned) < _MOST_WARNINGS:
            self._shared.warned.add(warning)
            self._add(_WARNING, warning)

    def _add(self, level: int, text: str) -> None:
        if self.message is None:
            self._shared.notices.append(text[:_LONGEST])
        elif len(self.message.lines) < _MOST:
            self.message.lines.append((level, text[:_LONGEST]))
