"""Whether Sendmail asks the filter, as its sendmail.cf says: filters, their order, the second port."""

import re
from collections.abc import Iterator
from typing import Final

from engagement.settings import Settings
from engagement.settings.schema import SeveralRecipients
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "milters"
HOP: Final = "hop"
_APPLY: Final = "smtpapi setup sendmail --apply, then make -C /etc/mail && systemctl restart sendmail"


def check(text: str, place: str, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with a sendmail.cf."""
    filters = dict(re.findall(r"^X([^,\s]+),\s*(.*)$", text, re.MULTILINE))
    socket = settings.milter.socket.replace("unix:", "local:", 1)
    ours = next(
        (name for name, rest in filters.items() if f"S={socket}" in rest.replace("unix:", "local:")), ""
    )
    found = re.search(r"^O InputMailFilters=(.*)$", text, re.MULTILINE)
    order = [name for name in re.split(r"[,;\s]+", found[1]) if name] if found else []
    if ours not in order or not ours:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{place} does not ask the filter at {settings.milter.socket}",
            "No mail is tracked.",
            _APPLY,
        )
        return
    signers = [
        name for name in order[: order.index(ours)] if re.search("dkim|arc|rspamd|amavis", name.lower())
    ]
    if signers:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"{place} asks {', '.join(signers)}, which signs, before the filter",
            "The filter changes what was signed: DKIM fails at every receiver, and signed mail is not "
            "tracked.",
            _APPLY,
        )
    if not re.search(r"\bF=T\b", filters[ours]):
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{place}: the filter's line has no F=T",
            "While the filter is away, mail goes out untracked, with its X-MSYS-API in it.",
            "F=T in INPUT_MAIL_FILTER (etc/sendmail/smtpapi.mc has it)",
        )
    yield Finding(CHECK, Level.OK, f"{place} asks the filter")


def check_hop(text: str, place: str, settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the second port of a sendmail.cf, for mail to several recipients."""
    mode, listener = settings.rewriting.several_recipients, settings.rewriting.split_listener
    ports = [
        number[1]
        for line in re.findall(r"^O DaemonPortOptions=(.*)$", text, re.MULTILINE)
        if "SMTPAPI-SPLIT" in line and (number := re.search(r"\bPort=(\w+)", line))
    ]
    if mode is SeveralRecipients.READDRESS and ports != [listener.rpartition(":")[2]]:
        yield Finding(
            HOP,
            Level.ERROR,
            f"smtpapi.conf names {listener} for the second pass, and {place} has "
            f"{', '.join(ports) or 'none'}",
            "Mail to several recipients goes out unsplit and untracked, with a sealed field in it.",
            f"define(`SMTPAPI_PORT', `{listener.rpartition(':')[2]}')dnl before "
            "include(`/etc/mail/smtpapi.mc')dnl",
        )
    elif mode is SeveralRecipients.SPLIT:
        yield Finding(
            HOP,
            Level.ERROR,
            "several_recipients = split is Postfix's hop, and this is Sendmail",
            "Mail to several recipients goes out unsplit, with a sealed field in it.",
            'several_recipients = "readdress" split_listener = "127.0.0.1:10025" in rewriting { }',
        )
    elif mode is SeveralRecipients.READDRESS:
        yield Finding(HOP, Level.OK, f"the hop over {listener} is wired on both ends")
    elif mode is SeveralRecipients.UNTRACKED:
        yield Finding(
            HOP,
            Level.NOTE,
            "several_recipients = untracked: mail to several recipients gets no links",
            "None of it is measured.",
            'several_recipients = "readdress" split_listener = "127.0.0.1:10025" in rewriting { }',
        )
