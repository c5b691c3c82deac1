"""What Momentum honours, this program does not, and would change what is tracked.

Each is an error, unless `momentum { ignore = ( … ) }` names it. Not what has no effect on tracking: that gets
a notice (`unserved`).
"""

from typing import NamedTuple

from engagement.settings.errors import Place, Problem
from engagement.settings.momentum.scope_names import DISPLAY
from engagement.settings.option_types.scalars import truth_of
from engagement.settings.schema import SCOPED, TRACKING_OPTIONS
from engagement.settings.scopes import Value
from engagement.settings.syntax_tree import AssignNode, ScopeNode, TextNode


class Loss(NamedTuple):
    """One of them. name: by which it can be acknowledged. what, instead: as `Problem` has them."""

    name: str
    place: Place
    what: str
    instead: str

    def problem(self) -> Problem:
        """Return it as an error."""
        return Problem(
            self.place, self.what, f'{self.instead}, or momentum {{ ignore = ("{self.name}") }} to go without'
        )


# Options of listeners and pathways that say who a client is or that it is trusted. None: whatever the value.
_OPTIONS: dict[str, tuple[bool | None, str, str]] = {
    "proxy_protocol": (
        True,
        "takes the client's address from the proxy, which the MTA does here",
        "the same in the MTA (smtpd_upstream_proxy_protocol of Postfix)",
    ),
    "always_allow": (
        True,
        "lets everybody count as logged in, which is not done here",
        "Open_Relay = true in the Peers that are meant",
    ),
    "relay_for_sending_domains": (
        None,
        "trusts clients by the sender they name, which is not done here",
        "Open_Relay = true in the Peers that are meant, or a login",
    ),
    "tls_verified_peer_can_relay": (
        True,
        "trusts clients by their certificate, which is not done here",
        "Open_Relay = true in the Peers that are meant, or a login",
    ),
}
_PEERS = 'Peer "NETWORK" { Open_Relay = true } for those that are meant'
_SCRIPTS = "runs scripts that may set what is tracked, and is not run here"
_POLICY = 'the same as policy { file = "…" }'
_STANZAS = {"sieve": (_SCRIPTS, _POLICY), "perl": (_SCRIPTS, _POLICY), "java": (_SCRIPTS, _POLICY)}
_OF_MAIL = frozenset({*TRACKING_OPTIONS, "context", "pathway"})
_OTHER_LISTENERS = ("ecstream_listener", "xmpp_listener", "http_listener")


def of_option(item: AssignNode, scope: str) -> Loss | None:
    """Return what an option costs that is not served. scope: as messages name it."""
    name = item.name.lower()
    if name not in _OPTIONS:
        return None
    value, why, instead = _OPTIONS[name]
    if value is not None and not (isinstance(item.value, TextNode) and truth_of(item.value.text) is value):
        return None
    return Loss(name, item.place, f"'{item.name}' in {scope} {why}", instead)


def of_stanza(item: ScopeNode) -> Loss | None:
    """Return what a stanza costs that is not served."""
    name = item.name.lower()
    if name in _STANZAS:
        why, instead = _STANZAS[name]
        return Loss(name, item.place, f"'{item.name}' {why}", instead)
    if name in _OTHER_LISTENERS and (option := _of_mail(item)) is not None:
        what = f"'{option.name}' is about mail of {item.name}, which does not come by here"
        return Loss(name, option.place, what, "it in an ESMTP_Listener, and the mail by SMTP")
    return None


def _of_mail(item: ScopeNode) -> AssignNode | None:
    """Return the first option of tracking anywhere in a scope."""
    for each in item.items:
        if isinstance(each, AssignNode) and each.name.lower() in _OF_MAIL:
            return each
        if isinstance(each, ScopeNode) and (found := _of_mail(each)) is not None:
            return found
    return None


def misspelt(what: str, name: str, place: Place, meant: str) -> Loss:
    """Return the loss of a name that is unknown here and near to one that is known."""
    return Loss(name, place, f"{what} is unknown", meant)


def misplaced(what: str, name: str, place: Place) -> Loss:
    """Return the loss of an option of ours in a scope where it has no effect."""
    scopes = [DISPLAY[scope] for scope in SCOPED[name].scopes if scope in DISPLAY]
    instead = _PEERS if name == "open_relay" else f"it in {', '.join(scopes[:-1])} or {scopes[-1]}"
    return Loss(name, place, f"{what} has no effect where it stands", instead)


_OFF = {
    "engagement_tracker": (
        "click_tracking_enabled and open_tracking_enabled = false, or enabled = false in smtpapi { }"
    ),
    "event_hydrant": "log_click = false and log_open = false",
}


def of_module_off(stanza: str, enabled: Value | None) -> Loss | None:
    """Return what `enabled = false` costs in a stanza where it has no effect."""
    if enabled is None or enabled.value or stanza not in _OFF:
        return None
    place = Place(enabled.file, enabled.line, enabled.column)
    what = f"enabled = false in {stanza} {{ }} does not stop anything here"
    return Loss(f"{stanza}.enabled", place, what, _OFF[stanza])


def of_open_relay(value: Value, label: str) -> Loss:
    """Return what `Open_Relay = true` costs outside a Peer, where it would trust every client there is."""
    place = Place(value.file, value.line, value.column)
    what = f"Open_Relay = true in {label} would trust every client, and is honoured in a Peer alone"
    return Loss("open_relay", place, what, _PEERS)
