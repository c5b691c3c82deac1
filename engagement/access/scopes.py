"""What an API key may be allowed to do. `view` and `modify` are apart: neither implies the other."""

from types import MappingProxyType
from typing import Final

SCOPES: Final = MappingProxyType(
    {
        "events/view": "search events",
        "messages/view": "see what became of a message, and what a link says",
        "messages/preview": "see what the filter would make of a mail",
        "metrics/view": "read figures",
        "recipients/modify": "erase recipients, and end their tracking",
        "recipients/view": "hand out what is stored about a recipient",
        "suppression/modify": "change the suppression list",
        "suppression/view": "read the suppression list",
        "tracking-domains/modify": "add, verify and remove tracking domains",
        "tracking-domains/view": "read tracking domains",
        "transmissions/modify": "send mail",
        "webhooks/modify": "add, change, test and remove webhooks",
        "webhooks/view": "read webhooks and their batches",
    }
)
EVERY: Final = tuple(sorted(SCOPES))


def checked(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return scopes in order, each once; `all` stands for every one. Raises ValueError for another name."""
    if "all" in scopes:
        return EVERY
    for scope in scopes:
        if scope not in SCOPES:
            raise ValueError(f"'{scope}' is no scope; there are: all, {', '.join(EVERY)}")
    return tuple(sorted(set(scopes)))
