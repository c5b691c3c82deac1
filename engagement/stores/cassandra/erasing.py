"""What to remove when a recipient is erased: every row of their messages, and what leads to them."""

from typing import NamedTuple

from engagement.events.rows import rows
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.labels import Labels, places_in_days
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.stored import StoredEvent
from engagement.stores.cassandra.writing import Writes


class Erasure(NamedTuple):
    """The writes of an erasure. last: to be written when the others are, so that a new try finds the rest."""

    events: int
    writes: Writes
    last: Writes


def erasure(
    reader: Reader, finder: Finder, labels: Labels, recipient: str, tenant: str, now: float
) -> Erasure:
    """Return what removes a recipient, given in lower case. now: Unix seconds. Raises StoreError.

    All is removed as of now, or of the newest row where that is later: an event that happens afterwards has a
    later timestamp. Rows of `tally` stay: they name nobody, and figures are counted from them.
    """
    messages = finder.messages_of(recipient, tenant)
    whole = finder.whole(messages)
    found = [row for several in whole.values() for row in several]
    newest = max((row.at_ms * 1000 + queries.LABELS_US for row in found), default=0)
    at = max(int(now * 1_000_000), newest)
    secret = reader.secret()
    writes: Writes = []
    for message in messages:
        writes += [(name, [(at, message)]) for name in ("erase_message", "erase_injection", "erase_past")]
        lent = next((row.injected.get("campaign_id", "") for row in whole[message] if row.injected), "")
        for row in whole[message]:
            name = (row.at_ms, row.event_id)
            for place in labels.places_in_hours(row):
                writes.append(("erase_in_hour", [(at, *place, *name)]))
                writes += [
                    ("erase_in_day", [(at, *day, *name)]) for day in places_in_days(row, place[2], lent)
                ]
            for what, text in _names(row):
                key = queries.name_key(secret, row.tenant, what, text)
                writes.append(("erase_lookup", [(at, row.tenant, what, key, message)]))
    person = queries.pseudonym(secret, tenant, recipient)
    last: Writes = [("erase_recipient", [(at, tenant, person, period)]) for period in finder.periods(tenant)]
    return Erasure(len(found), writes, last)


def _names(row: StoredEvent) -> list[tuple[str, str]]:
    if row.event is None:
        return []
    return [(what, text) for made in rows(row.event) for what, text, _ in queries.lookups_of(made)]
