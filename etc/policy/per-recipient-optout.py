"""Readers who objected are not tracked, whatever header and configuration say; nor are whole domains.

The list is read once, when the filter starts or is told to reload. One address or @domain a line.
"""

from pathlib import Path

from smtpapi.policy import core

LIST = Path(__file__).with_name("optout.txt")


def read(path):
    """The lines of the list, lower-case, without comments. A missing list is an error at start."""
    lines = (line.partition("#")[0].strip().lower() for line in path.read_text("utf-8").splitlines())
    return frozenset(line for line in lines if line)


OPTED_OUT = read(LIST)


def validate_data_spool_each_rcpt(msg, ac, vctx):
    """Runs for each recipient's copy; the recipient level is that copy's alone."""
    address = msg.recipient.lower()
    if address in OPTED_OUT or "@" + address.rpartition("@")[2] in OPTED_OUT:
        for switch in ("smtpapi_open_tracking", "smtpapi_click_tracking", "smtpapi_initial_open"):
            vctx.set(core.VCTX_RCPT, switch, "0")
    return core.VALIDATE_CONT
