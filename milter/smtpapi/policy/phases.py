"""Run a policy's hooks in order: those of session and message first, then one for each recipient.

All of them run at the end of the message (docs/decisions/0008). For a message that goes over the hop, the
hooks of session and message run once, on the first pass; only the hook for each recipient runs again for the
copy.
"""

from smtpapi.model.envelope import Envelope
from smtpapi.policy.core import VCTX_CONN
from smtpapi.policy.hooks import Policy
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage

EACH = "validate_data_spool_each_rcpt"
_GREETED = "__smtpapi_greeted"  # in the session's context once the hooks of its connection have run


def message(policy: Policy, envelope: Envelope, mail: PolicyMessage, vctx: ValidationContext) -> None:
    """Run the hooks up to validate_data_spool, in the order of their phases. Raises `PolicyFailed`.

    The hooks of the connection run once a session.
    """
    connection = Accept.of(envelope.client)
    if vctx.get(VCTX_CONN, _GREETED) is None:
        session = vctx.session()
        policy.run("validate_connect", connection, vctx)
        policy.run("validate_ehlo", connection.ehlo, connection, vctx)
        for name, value in session.items():
            vctx.set(VCTX_CONN, name, value)  # XSETCONTEXT comes after these hooks' phases, so it wins
        vctx.set(VCTX_CONN, _GREETED, "true")
    policy.run("validate_mailfrom", envelope.sender, connection, vctx)
    for recipient in envelope.recipients:
        policy.run("validate_rcptto", mail, recipient, connection, vctx)
    policy.run("validate_data", mail, connection, vctx)
    policy.run("validate_data_spool", mail, connection, vctx)


def each(
    policy: Policy, envelope: Envelope, mail: PolicyMessage, recipient: str, vctx: ValidationContext
) -> None:
    """Run the hook for one recipient's copy. Raises `PolicyFailed`."""
    mail.recipient = recipient
    policy.run(EACH, mail, Accept.of(envelope.client), vctx)
