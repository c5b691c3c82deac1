"""What counts once in a campaign's life (`figures.contribution.seen_ever`), as text in a message's row."""

import json

from engagement.figures.contribution import Ever
from engagement.stores.json_text import as_text


def to_text(ever: Ever) -> str:
    """Return it as JSON, "" for nothing."""
    return (
        as_text([[*place, first, name, rank] for (place, first, name), rank in ever.items()]) if ever else ""
    )


def from_text(text: str) -> Ever:
    """Return what `to_text` wrote."""
    return {
        ((cube, bucket, a, b), first, name): rank
        for cube, bucket, a, b, first, name, rank in (json.loads(text) if text else ())
    }
