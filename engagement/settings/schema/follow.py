"""Declaration of the stanza of `smtpapi follow`, which reads what became of messages from the MTA's log."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared


@dataclass(frozen=True, slots=True)
class FollowStanza:
    """The program that follows the MTA's log."""

    log: str = declared(
        option_types.text("a file, or journal"),
        "/var/log/mail.log",
        "The log of Postfix or Sendmail: a file, rotated as it may be, or `journal` for systemd's.",
    )
    node_name: str = declared(
        option_types.text(),
        "",
        "Name of the MTA as it gives it to the filter: Postfix's myhostname, Sendmail's $j. Empty: what "
        "`postconf -h myhostname` says, or else this machine's full name.",
        example="mail.example.com",
    )
    state: str = declared(
        option_types.path(),
        "/var/lib/smtpapi/follow.db",
        "File that keeps how far the log was read and what is known of messages in the queue.",
    )
    next_hops: tuple[str, ...] = declared(
        option_types.text_list("hosts, addresses or ports (:10026)"),
        (),
        "Content filters and hops that hand mail back to this MTA: host names, addresses or ports as relay= "
        "in the log has them. Their `sent` is no delivery. Loopback and unix sockets always are such.",
        example=(":10026",),
    )
