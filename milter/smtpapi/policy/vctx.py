"""The validation context: string variables on three levels, as Momentum's `vctx`.

What the variables mean is in `smtpapi.request`. Invariants: all values are strings; an empty value counts as
not set, so the value of the next wider level holds.
"""

from collections.abc import Mapping
from types import MappingProxyType

from smtpapi.model.outcome import Discard, Refuse
from smtpapi.policy.core import ContextScope
from smtpapi.policy.replies import reply

_MAX_VALUE = 65536  # bytes; as long as an X-MSYS-API header may be


class ValidationContext:
    """The context of one message of one session.

    configured: the `context = [ … ]` of the scopes that match. session: what the session has set before (SMTP
    AUTH, XSETCONTEXT, earlier hooks). Both are on the connection level, where the session's win. message:
    what the message's hooks set on the first pass.
    """

    def __init__(
        self,
        configured: Mapping[str, str],
        session: Mapping[str, str] = MappingProxyType({}),
        message: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.configured = configured
        self.answer: Refuse | Discard | None = None  # what the policy wants to become of the message
        self._levels: dict[ContextScope, dict[str, str]] = {
            ContextScope.RECIPIENT: {},
            ContextScope.MESSAGE: dict(message),
            ContextScope.CONNECTION: dict(session),
        }

    def set(self, scope: ContextScope, name: str, value: str) -> None:
        """Set a variable; "" unsets it.

        As Momentum's `vctx:set(msys.core.VCTX_MESS, "smtpapi_campaign_id", "black friday")`. Raises TypeError
        for a scope that is none and for what is no string, ValueError for a value above 65,536 bytes and for
        half a surrogate pair.
        """
        level = self._level(scope)
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(
                f"context variable {name!r}: names and values are strings, this is {type(value).__name__}"
            )
        if len(value.encode("utf-8", "surrogatepass")) > _MAX_VALUE:
            raise ValueError(f"context variable {name!r}: longer than {_MAX_VALUE} bytes")
        value.encode()  # raises UnicodeEncodeError, a ValueError, for half a surrogate pair
        level[name] = value

    def get(self, scope: ContextScope, name: str) -> str | None:
        """Return the variable's value on that level only, or None. Raises TypeError for a scope that is none.

        The configuration's variables are on the connection level.
        """
        value = self._level(scope).get(name)
        if value is None and scope is ContextScope.CONNECTION:
            value = self.configured.get(name)
        return value

    def lookup(self, name: str) -> str:
        """Return the value that holds for the recipient, from its narrowest level, "" without one."""
        for level in self._levels.values():
            if value := level.get(name):
                return value
        return self.configured.get(name, "")

    def delete(self, scope: ContextScope, name: str) -> bool:
        """Remove a variable on one level; return whether it was set there. Raises TypeError as `get` does."""
        return bool(self._level(scope).pop(name, ""))

    def set_code(self, code: int, text: str = "") -> None:
        """Refuse the message (5xx) or put it off (4xx); 2xx takes back what was set.

        As Momentum's `vctx:set_code(550, "5.7.1 not here")`. text: the reply after the code; it may begin
        with an enhanced code. Raises ValueError for a code that is no reply of SMTP.
        """
        self.answer = reply(code, text)

    @property
    def refusal(self) -> Refuse | None:
        """The reply that the policy asks for, None where it accepts the message."""
        return self.answer if isinstance(self.answer, Refuse) else None

    def discard(self, reason: str = "") -> None:
        """Drop the message but answer as if it were accepted; for one recipient, drop that copy alone."""
        self.answer = Discard(reason)

    def effective(self) -> dict[str, str]:
        """Return all variables that are set, each from its narrowest level."""
        merged = {name: value for name, value in self.configured.items() if value}
        for level in reversed(self._levels.values()):
            merged.update((name, value) for name, value in level.items() if value)
        return merged

    def for_recipient(self) -> "ValidationContext":
        """Return the context of one recipient's copy; what is set there on the message holds for that copy.

        So it is in Momentum, whose policy sees one message for each recipient by then. The session is shared.
        """
        copy = ValidationContext(self.configured)
        copy._levels[ContextScope.MESSAGE] = dict(self._levels[ContextScope.MESSAGE])
        copy._levels[ContextScope.CONNECTION] = self._levels[ContextScope.CONNECTION]
        return copy

    def message(self) -> dict[str, str]:
        """Return the message's own variables."""
        return dict(self._levels[ContextScope.MESSAGE])

    def session(self) -> dict[str, str]:
        """Return the session's own variables, for its next message."""
        return dict(self._levels[ContextScope.CONNECTION])

    def _level(self, scope: ContextScope) -> dict[str, str]:
        if not isinstance(scope, ContextScope):
            raise TypeError("the scope is core.VCTX_CONN, core.VCTX_MESS or core.VCTX_RCPT")
        return self._levels[scope]
