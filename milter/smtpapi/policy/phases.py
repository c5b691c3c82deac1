"""Run a policy's hooks in order: those of session and message first, then one for each recipient.

All of them run at the end of the message (docs/decisions/0008). For a message that goes over the hop, the
hooks of session and message run once, on the first pass; only the hook for each recipient runs again for the
copy.
"""

from collections.abc import Sequence
from functools import partial

from smtpapi.model.envelope import Envelope
from smtpapi.policy.core import VCTX_CONN
from smtpapi.policy.hooks import AnyPolicy, HookCall
from smtpapi.policy.replies import code_in, reply
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import Accept, PolicyMessage

EACH = ("core_pre_msg_each_rcpt", "validate_data_spool_each_rcpt", "core_post_msg_each_rcpt")
# Where Momentum chooses how a copy goes out, after tracking: what it sets in the context comes too late.
_BINDING = "validate_set_binding"
_CONNECTION = ("core_validate_accept", "validate_connect", "validate_ehlo")
_MESSAGE = ("validate_rcptto_list", "validate_rcptto_list_final", "validate_data", "validate_data_spool")
_BEFORE_EACH = frozenset((*_CONNECTION, "validate_mailfrom", "validate_rcptto", *_MESSAGE))
_GREETED = "__smtpapi_greeted"  # in the session's context once the hooks of its connection have run
_REFUSED = "__smtpapi_refused"  # there too: what the hooks of the connection answer to all its messages


def message(policy: AnyPolicy, envelope: Envelope, mail: PolicyMessage, vctx: ValidationContext) -> None:
    """Run the hooks up to validate_data_spool, in the order of their phases. Raises `PolicyFailed`.

    The hooks of the connection run once a session; what they refuse is refused for all its messages.
    """
    if not policy.hooks.isdisjoint(_BEFORE_EACH):
        policy.within(partial(_message, policy, envelope, mail, vctx))


def _message(policy: AnyPolicy, envelope: Envelope, mail: PolicyMessage, vctx: ValidationContext) -> None:
    call = HookCall(Accept.of(envelope.client), mail, vctx)
    if not policy.hooks.isdisjoint(_CONNECTION):
        _connection(policy, call)
    if vctx.refusal is not None:
        return
    _run(policy, ("validate_mailfrom",), call._replace(word=envelope.sender))
    mail.past_mail = True
    if "validate_rcptto" in policy.hooks:
        for recipient in envelope.recipients:
            policy.call("validate_rcptto", call._replace(word=recipient, recipient=recipient))
    _run(policy, _MESSAGE, call)


def _connection(policy: AnyPolicy, call: HookCall) -> None:
    """Run the hooks of the connection, once a session; what they refused is refused again."""
    vctx = call.vctx
    if vctx.get(VCTX_CONN, _GREETED) is None:
        session = vctx.session()
        _run(policy, _CONNECTION, call._replace(word=call.ac.ehlo))
        for name, value in session.items():
            vctx.set(VCTX_CONN, name, value)  # XSETCONTEXT comes after these hooks' phases, so it wins
        vctx.set(VCTX_CONN, _GREETED, "true")
        if (answer := vctx.refusal) is not None:
            vctx.set(VCTX_CONN, _REFUSED, f"{answer.code} {answer.status} {answer.text}")
    elif refused := vctx.get(VCTX_CONN, _REFUSED):
        vctx.answer = reply(*code_in(refused))


def _run(policy: AnyPolicy, hooks: Sequence[str], call: HookCall) -> None:
    for hook in hooks:
        if hook in policy.hooks:
            policy.call(hook, call)


def is_for_each(policy: AnyPolicy) -> bool:
    """Return whether a policy has a hook for each recipient."""
    return not policy.hooks.isdisjoint((*EACH, _BINDING))


def each(policy: AnyPolicy, envelope: Envelope, mail: PolicyMessage, vctx: ValidationContext) -> None:
    """Run the hooks for one recipient's copy. mail: that recipient's view. Raises `PolicyFailed`."""
    call = HookCall(Accept.of(envelope.client), mail, vctx, mail.recipient, mail.recipient)
    policy.within(partial(_each, policy, call))


def _each(policy: AnyPolicy, call: HookCall) -> None:
    _run(policy, EACH, call)
    if _BINDING in policy.hooks and call.vctx.answer is None:
        policy.call(_BINDING, call._replace(vctx=call.vctx.for_recipient()))
    if call.msg.route is not None:  # only now, as hooks may read a field of that name
        name, value = call.msg.route
        call.msg.remove_header(name)
        if value:
            call.msg.add_header(name, value)
