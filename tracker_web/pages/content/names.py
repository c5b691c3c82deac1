"""Names of the API's values in the language of the page: roles, kinds of mail, sources, states. Pure."""

from typing import Final

from tracker_web.languages.translation import N_, gettext

_ROLES: Final = {"looks": N_("looks"), "manages": N_("manages"), "administers": N_("administers")}
_KINDS: Final = {"transactional": N_("transactional"), "non_transactional": N_("non-transactional")}
_SIDES: Final = {"people": N_("people"), "unsure": N_("unsure"), "machine": N_("machines")}
_STATES: Final = {
    "": N_("all"),
    "pending": N_("pending"),
    "failed": N_("failed"),
    "delivered": N_("delivered"),
}
_WISHES: Final = {
    "OBJECT": N_("record nothing any more"),
    "EXPORT": N_("a copy of what is stored"),
    "ERASE": N_("erase what is stored"),
}
_SOURCES: Final = {
    "Spam Complaint": N_("Spam Complaint"),
    "List Unsubscribe": N_("List Unsubscribe"),
    "Bounce Rule": N_("Bounce Rule"),
    "Unsubscribe Link": N_("Unsubscribe Link"),
    "Manually Added": N_("Manually Added"),
    "Compliance": N_("Compliance"),
}


def role_name(value: str) -> str:
    """Return the name of a role."""
    return _named(_ROLES, value)


def kind_name(value: str) -> str:
    """Return the name of a kind of mail."""
    return _named(_KINDS, value)


def side_name(value: str) -> str:
    """Return the name of one of the three sides that hits are counted on."""
    return _named(_SIDES, value)


def state_name(value: str) -> str:
    """Return the name of a batch's state, "" for all of them."""
    return _named(_STATES, value)


def wish_name(value: str) -> str:
    """Return the name of what a reader asked."""
    return _named(_WISHES, value)


def source_name(value: str) -> str:
    """Return the name of a source of the suppression list."""
    return _named(_SOURCES, value)


def _named(names: dict[str, str], value: str) -> str:
    return gettext(names[value]) if value in names else value
