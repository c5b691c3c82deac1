"""Readers who objected are not tracked, whatever header and configuration say; nor are whole domains.

The list is read once, when the filter starts or is told to reload. One address or @domain a line; a line that
is neither is told in the log.
"""

import logging
from pathlib import Path

from engagement.objections import load
from smtpapi.policy import core

LIST = Path(__file__).with_name("optout.txt")

OPTED_OUT = load(LIST)  # a missing list is an error at start
for trouble in OPTED_OUT.strange:
    logging.getLogger("smtpapi.milter").error("objections: %s", trouble)


def validate_data_spool_each_rcpt(msg, ac, vctx):
    """Runs for each recipient's copy; the recipient level is that copy's alone."""
    if OPTED_OUT.hold(msg.recipient):
        for switch in ("smtpapi_open_tracking", "smtpapi_click_tracking", "smtpapi_initial_open"):
            vctx.set(core.VCTX_RCPT, switch, "0")
    return core.VALIDATE_CONT
