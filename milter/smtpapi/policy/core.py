"""The constants of a policy file, named as in Momentum's `msys.core`."""

from enum import StrEnum


class ContextScope(StrEnum):
    """Where a context variable lives, and so how long (contract.md 4.2)."""

    CONNECTION = "connection"  # the whole session, over all its messages
    MESSAGE = "message"
    RECIPIENT = "recipient"  # this recipient's copy


VCTX_CONN = ECMESS_CTX_CONN = ContextScope.CONNECTION
VCTX_MESS = ECMESS_CTX_MESS = ContextScope.MESSAGE
VCTX_RCPT = (
    ContextScope.RECIPIENT
)  # Momentum has no such scope: its policy sees one message for each recipient

# A hook may return these, or nothing. There is one policy file, so both mean: done here.
VALIDATE_CONT = "cont"
VALIDATE_DONE = "done"
