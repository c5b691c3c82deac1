"""The filter's process, its socket, and whose mail it is that a client hands in."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared


@dataclass(frozen=True, slots=True)
class MilterStanza:
    """The filter's process and its socket."""

    socket: str = declared(
        option_types.milter_socket(),
        "unix:/var/spool/postfix/smtpapi/milter.sock",
        "Where the MTA finds the filter. A unix socket is several times faster than inet.",
    )
    workers: int = declared(
        option_types.integer(1, 64),
        2,
        "Processes that share the work; one for each core that mail may keep busy.",
    )
    user: str = declared(
        option_types.text(),
        "",
        "User to become after the start. The filter works as root only if root is named here.",
        example="smtpapi",
    )
    group: str = declared(
        option_types.text(), "",
        "Group to become; the MTA must be in it to use the socket. Empty: the user's own.",
        example="postfix",
    )  # fmt: skip
    counters_directory: str = declared(
        option_types.path(), "",
        "Folder where each worker writes its counters for others to read. Empty: nowhere.",
        example="/run/smtpapi/counters",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CustomersStanza:
    """Whose mail it is: the customer's id in events, as Momentum's module for SMTP AUTH sets it."""

    by_login: str = declared(
        option_types.choice("none", "login", "map"),
        "none",
        "How a session's SMTP AUTH login sets mo_customer_id. none: not at all; login: the login is the "
        "customer's id; map: the map says, and a login that is not in it has none. It beats XSETCONTEXT and "
        "`context`; policy beats it.",
    )
    map: str = declared(
        option_types.path(), "",
        "File with a login and its customer's id on each line. Read at the start and on SIGHUP.",
        example="/etc/smtpapi/customers",
    )  # fmt: skip
