"""Whether a program can listen where it is to: tried beforehand, and said in words."""

import socket
from pathlib import Path

from tracker_web.links.hosts import HttpListen


class CannotServe(Exception):
    """What stands in the way, and what to do about it."""


def try_listen(listen: HttpListen, option: str, config: Path) -> None:
    """Fail now, in words, where the server would fail in a traceback. Raises CannotServe."""
    try:
        family = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listen.host, listen.port))
            probe.listen(1)
    except OSError as error:
        raise CannotServe(
            f"cannot listen on {listen}: {error.strerror}: "
            f"`ss -ltnp 'sport = :{listen.port}'` names the program that holds a port; "
            f"stop it, or change {option} in {config}"
        ) from error
