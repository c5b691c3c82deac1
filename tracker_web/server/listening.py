"""Checks whether a program can listen at its address, before its server would fail with a traceback."""

import socket
from pathlib import Path

from tracker_web.links.hosts import HttpListen


class CannotServe(Exception):
    """The server cannot start; the text says why, and what to do."""


def try_listen(listen: HttpListen, option: str, config: Path, *, join: bool = False) -> None:
    """Check that an address can be listened on. option: that holds it.

    join: beside others of this user, whose listeners share the port (SO_REUSEPORT, as the server's do).
    Raises CannotServe.
    """
    try:
        family = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if join:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind((listen.host, listen.port))
            if not join:  # what the probe listened to would be lost to those who are there
                probe.listen(1)
    except OSError as error:
        raise CannotServe(
            f"cannot listen on {listen}: {error.strerror}: "
            f"`ss -ltnp 'sport = :{listen.port}'` names the program that holds a port; "
            f"stop it, or change {option} in {config}"
        ) from error
