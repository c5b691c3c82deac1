"""Notifications of the service's state to systemd: the protocol of sd_notify(3), without the library."""

import os
import socket
import time


def notify(state: str) -> None:
    """Send a state such as "READY=1"; do nothing without NOTIFY_SOCKET, or where sending fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if state == "RELOADING=1":  # sd_notify(3) wants the monotonic time with it
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError:
            return  # the service matters more than the notice
