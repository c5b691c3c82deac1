"""The scopes that may hold options of tracking: how they are written, and what may stand in which."""

from engagement.settings.schema import STANZAS, TRACKING_OPTIONS, TRACKING_SCOPES

DISPLAY = {
    "esmtp_listener": "ESMTP_Listener",
    "listen": "Listen",
    "peer": "Peer",
    "pathway": "pathway",
    "pathway_group": "pathway_group",
}
INSIDE = {
    "global": ("esmtp_listener", "pathway", "pathway_group"),
    "esmtp_listener": ("listen", "peer"),
    "listen": ("peer",),
    "pathway_group": ("pathway",),
    "pathway": (),
    "peer": (),
}


def homes(name: str) -> str:
    """Return the places that an option or scope may be in, in the words of a message."""
    if name in TRACKING_OPTIONS:
        found = list(TRACKING_SCOPES)
    else:
        found = [kind for kind, inner in INSIDE.items() if name in inner and kind != "global"]
    if not found:
        return "it at the top level" if name in STANZAS or name in INSIDE else "options only"
    return f"it in {', '.join(found[:-1])}{' or ' if found[1:] else ''}{found[-1]}"
