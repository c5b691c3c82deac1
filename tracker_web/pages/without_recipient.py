"""Events without their recipients, for those who may not see them: `web { recipients_seen_by }`. Pure.

Not for the API, whose keys have scopes; and what a subject says of somebody in words stays.
"""

import re
from typing import Final
from urllib.parse import quote, quote_plus

from engagement.events.fields import Fields

# What names a person, and their own address on the network.
_PERSONAL: Final = frozenset({"raw_rcpt_to", "rcpt_to", "rcpt_meta"})
_OF_A_HIT: Final = frozenset({"ip_address", "geo_ip"})
_HIDDEN: Final = "\N{MEDIUM SHADE}" * 4  # as in copies of mail for the click map
_ADDRESS: Final = re.compile(r"[^\s<>\"'(),:;@]+@[\w.-]+")
_ANSWERS: Final = ("reason", "raw_reason")  # in the words of other servers, with whatever address


def without_recipient(fields: Fields) -> Fields:
    """Return an event without its recipient: in no field, nor within a target, a sender or an answer."""
    left_out = _PERSONAL | _OF_A_HIT if "x_client_class" in fields else _PERSONAL
    named = [str(fields[name]) for name in ("raw_rcpt_to", "rcpt_to") if fields.get(name)]
    forms = {form for name in named for form in (name, quote(name), quote_plus(name), name.replace("@", "="))}
    found = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), re.IGNORECASE)
    made: Fields = {}
    for name, value in fields.items():
        if name in left_out:
            continue
        if isinstance(value, str) and forms:
            value = found.sub(_HIDDEN, value)
        if isinstance(value, str) and name in _ANSWERS:
            value = _ADDRESS.sub(_HIDDEN, value)
        made[name] = value
    return made
