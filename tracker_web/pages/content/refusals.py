"""Why a form was refused, in the language of the page. Pure.

The rooms that refuse say it in English, as the API and the command line do. What a form of the pages can meet
with is known here by its text; anything else is shown as it was said.
"""

import re
from typing import Final

from tracker_web.languages.translation import N_, gettext

_KNOWN: Final = (
    N_("a name has 1 to %(most)s printable characters, no blank at either end"),
    N_("there is a user named %(name)s"),
    N_("a password has %(least)s to %(most)s characters"),
    N_("a password is not the name"),
    N_("there is a key named %(name)s: revoke it first, or choose another name"),
    N_("recipient must be an address"),
    N_("Recipient could not be removed - Compliance"),
    N_("there are %(most)s webhooks already; remove one"),
    N_("webhook not found"),
    N_("POST to webhook target URL failed"),
)
_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)s")


def refusal(error: Exception) -> str:
    """Return what an error says, in the language of the page where that is known."""
    message = str(error)
    for text in _KNOWN:
        found = _pattern(text).fullmatch(message)
        if found is not None:
            return gettext(text, **found.groupdict())
    return message


def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern for a text and what stands in its placeholders."""
    pieces = _PLACEHOLDER.split(text)  # text, name, text, name, ... text
    made = [f"(?P<{each}>.*)" if number % 2 else re.escape(each) for number, each in enumerate(pieces)]
    return re.compile("".join(made), re.DOTALL)
