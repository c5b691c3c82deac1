"""A body that has not been taken in yet: whoever reads it says by that that it is wanted.

An application is asked without the body first. What it answers then (no such path, no key, another media
type, too long) needed none; where it reads, it is asked again once the body is there. So the order of its
checks is its own. Until it reads it must change nothing, as it does that twice.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_LIMIT: Final = "smtpapi.body_limit"
_FORM: Final = 1_048_576  # bytes; forms of the pages have some hundred. What is read says its own limit


class BodyNeeded(BaseException):
    """The application read a body that is not there yet."""


class UnreadBody(io.RawIOBase):
    """Stands for a body that is still to come."""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override] # what it is called with
        """Say that the body is wanted. Raises BodyNeeded."""
        if not len(buffer):
            return 0
        raise BodyNeeded

    def readall(self) -> bytes:
        """Say that the body is wanted. Raises BodyNeeded."""
        raise BodyNeeded


@dataclass(slots=True)
class _Limit:
    size: int = _FORM


def without_body(environ: "WSGIEnvironment") -> "WSGIEnvironment":
    """Return the variables of a request whose body is still to come."""
    return environ | {"wsgi.input": UnreadBody(), _LIMIT: _Limit()}


def limit_body(environ: "WSGIEnvironment", size: int) -> None:
    """Say how many bytes of the body are wanted at most, before it is read."""
    if limit := environ.get(_LIMIT):
        limit.size = size


def limit_of(environ: "WSGIEnvironment") -> int:
    """Return how many bytes of the body were said to be wanted at most."""
    size: int = environ[_LIMIT].size
    return size
