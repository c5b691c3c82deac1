"""What to remove when a recipient is erased: every row of their messages, and what leads to them."""

from typing import NamedTuple

from engagement.events.rows import rows
from engagement.stores.cassandra import queries
from engagement.stores.cassandra.figures.day_facts import ERASED, virtual_shard
from engagement.stores.cassandra.finder import Finder
from engagement.stores.cassandra.labels import Labels, places_in_days
from engagement.stores.cassandra.reader import Reader
from engagement.stores.cassandra.rows.stored import StoredEvent
from engagement.stores.cassandra.writing import Writes
from engagement.stores.customer_tags import DAY_MS


class Erasure(NamedTuple):
    """The writes of an erasure, one after the other: the later ones are found again by a new try.

    changed: (tenant, at_ms, message) of what figures are counted from. first: what they are counted from
    afterwards. last: what leads to the rest.
    """

    events: int
    changed: list[tuple[str, int, bytes]]
    first: Writes
    writes: Writes
    last: Writes


def erasure(
    reader: Reader, finder: Finder, labels: Labels, recipient: str, tenant: str, now: float
) -> Erasure:
    """Return what removes a recipient, given in lower case. now: Unix seconds. Raises StoreError.

    All is removed as of now, or of the newest row where that is later: an event that happens afterwards has a
    later timestamp. What figures are counted from stays under a key that leads nowhere; so figures stay, and
    what the message does later is counted as another's, but for its campaign's life (`seen`).
    """
    messages = finder.messages_of(recipient, tenant)
    whole = finder.whole(messages)
    found = [row for several in whole.values() for row in several]
    newest = max((row.at_ms * 1000 + queries.LABELS_US for row in found), default=0)
    at = max(int(now * 1_000_000), newest)
    secret = reader.secret()
    writes: Writes = []
    first: Writes = []
    for tenant_, day, message in dict.fromkeys(
        (row.tenant, row.at_ms // DAY_MS, row.message) for row in found
    ):
        place = (tenant_, day, virtual_shard(message))
        key = ERASED + queries.pseudonym(secret, "erased", message.hex())
        for at_ms, event_id, label, fact, left, written in reader.read("tally_rows", (*place, message)):
            first.append(("tally", [(*place, key, at_ms, event_id, label, fact, left or 0, written)]))
        writes.append(("erase_in_tally", [(at, *place, message)]))
    for message in messages:
        writes += [(name, [(at, message)]) for name in ("erase_message", "erase_injection", "erase_past")]
        borrowed = next((row.injected.get("campaign_id", "") for row in whole[message] if row.injected), "")
        for row in whole[message]:
            name = (row.at_ms, row.event_id)
            for place in labels.places_in_hours(row):
                writes.append(("erase_in_hour", [(at, *place, *name)]))
                writes += [
                    ("erase_in_day", [(at, *day, *name)]) for day in places_in_days(row, place[2], borrowed)
                ]
            for what, text in _names(row):
                key = queries.name_key(secret, row.tenant, what, text)
                writes.append(("erase_lookup", [(at, row.tenant, what, key, message)]))
    person = queries.pseudonym(secret, tenant, recipient)
    last: Writes = [("erase_recipient", [(at, tenant, person, period)]) for period in finder.periods(tenant)]
    changed = [(row.tenant, row.at_ms, row.message) for row in found]
    return Erasure(len(found), changed, first, writes, last)


def _names(row: StoredEvent) -> list[tuple[str, str]]:
    if row.event is None:
        return []
    return [(what, text) for made in rows(row.event) for what, text, _ in queries.lookups_of(made)]
