"""The field X-MSYS-API that says to the filter what an application asks for (contract.md 3)."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WIDTH: Final = 78  # characters of a line (RFC 5322 2.1.1)
# The filter takes 64 KiB, Postfix cuts near 60,000 bytes and Sendmail refuses above 32,768 of all fields.
LONGEST: Final = 20_000


def api_header(
    *,
    transmission_id: str,
    campaign: str,
    metadata: Mapping[str, Any],
    tags: Sequence[str],
    options: Mapping[str, Any],
) -> bytes:
    """Return the field, folded, with its line end. Raises ValueError where it is too long.

    It is ASCII, and folds stand where JSON allows any white space: none is in a string.
    """
    members = {
        "transmission_id": transmission_id,
        "campaign_id": campaign,
        "metadata": metadata,
        "tags": list(tags),
        "options": options,
    }
    text = json.dumps({name: value for name, value in members.items() if value})
    pieces = _STRING.sub(lambda found: found[0].replace(" ", "\\u0020"), text).split(" ")
    lines = ["X-MSYS-API:"]
    for word in pieces:
        if len(lines[-1]) + len(word) >= _WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    made = "\r\n".join(lines).encode("ascii") + b"\r\n"
    if len(made) > LONGEST:
        raise ValueError(f"campaign, tags and metadata make a header field above {LONGEST} bytes")
    return made
