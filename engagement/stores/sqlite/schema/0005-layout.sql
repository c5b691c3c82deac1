-- Rows are narrow and lie in the order of time, bodies apart in the order of coming. What belongs to a message
-- is indexed once a message; figures change by differences (docs/decisions/0021-sqlite-layout.md).
-- What was there moves over by portions (`before`), newest first: until then it is in tables named _before.

ALTER TABLE event RENAME TO event_before;
ALTER TABLE message RENAME TO message_before;

-- Texts as numbers: campaigns, domains, tenants, rules, reasons, names of links. 0 is "".
CREATE TABLE term (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- type, class: numbers of `codes`. campaign, domain, sender (its domain), reason, rules, name (of the link):
-- terms. tags: number of the tag set. link, recipient: 64 bits of a hash, 0 for none. size, tries, wait: of a
-- message and of what became of it; tries holds an injection's opens (1) and clicks (2).
CREATE TABLE event (
    tenant INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    place INTEGER NOT NULL,
    type INTEGER NOT NULL,
    class INTEGER NOT NULL,
    certain INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    message BLOB NOT NULL,
    recipient INTEGER NOT NULL,
    link INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    domain INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    tags INTEGER NOT NULL,
    bounce INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    name INTEGER NOT NULL,
    size INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    wait INTEGER NOT NULL,
    PRIMARY KEY (tenant, at_ms, event_id)
) STRICT, WITHOUT ROWID;

-- Each holds what its questions filter by, so that rows are read for what is shown alone.
CREATE INDEX by_message ON event (message, tenant, at_ms, event_id, type, class, link, place);
CREATE INDEX by_kind ON event (tenant, type, class, at_ms, event_id, expired);
CREATE INDEX by_campaign
    ON event (tenant, campaign, type, at_ms, event_id, class, expired, ordinal, domain) WHERE campaign <> 0;
CREATE INDEX by_domain
    ON event (tenant, domain, at_ms, event_id, type, class, expired, campaign) WHERE domain <> 0;
CREATE INDEX by_sender ON event (tenant, sender, at_ms, event_id, type, class, expired) WHERE sender <> 0;
CREATE INDEX by_tags ON event (tenant, tags, at_ms, event_id, type, class, expired) WHERE tags <> 0;
CREATE INDEX by_bounce ON event (tenant, bounce, at_ms, event_id, type) WHERE bounce <> 0;

-- place: the order of coming, never given twice. record: the spool's, or the fields as JSON.
CREATE TABLE body (
    place INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    hash TEXT,
    record BLOB NOT NULL
) STRICT;

-- What is known of a message. injection: the place of its body, 0 for none. lent: JSON, '' for none.
-- run: the last one of `lookup` that it was written to. ever: what counts once in a campaign's life, of events
-- that are gone.
CREATE TABLE message (
    message BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    transmission INTEGER NOT NULL,
    run INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    injection INTEGER NOT NULL,
    lent TEXT NOT NULL,
    ever TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX message_of_time ON message (at_ms);

-- what: `Lookup` of `codes`. ref: a message (16 bytes), or an event without one (its time and id, 24 bytes).
-- run: of places, so that writing touches few pages of it.
CREATE TABLE lookup (
    run INTEGER NOT NULL,
    what INTEGER NOT NULL,
    hash INTEGER NOT NULL,
    ref BLOB NOT NULL,
    PRIMARY KEY (run, what, hash, ref)
) STRICT, WITHOUT ROWID;

-- Labels that hits had before, each until it was classified anew.
CREATE TABLE verdict (
    event_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    class INTEGER NOT NULL,
    certain INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (event_id, number)
) STRICT, WITHOUT ROWID;

-- Figures (`engagement.figures.contribution.Cell`; a, b: terms).
CREATE TABLE fig (
    tenant INTEGER NOT NULL,
    cube INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    a INTEGER NOT NULL,
    b INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (tenant, cube, bucket, counter, a, b)
) STRICT, WITHOUT ROWID;

-- Figures of hours, as `totals` tells them. campaign 0: of all events. Those there were are taken over.
CREATE TABLE hourly (
    tenant INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    type INTEGER NOT NULL,
    recorded INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    people INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    people_messages INTEGER NOT NULL,
    PRIMARY KEY (tenant, campaign, hour, type)
) STRICT, WITHOUT ROWID;

-- next: the next place. rolled: the last place that figures hold. partial: days that were swept or erased in
-- part end before this one, and cannot be counted again.
CREATE TABLE state (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO state VALUES ('next', 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name IN ('event', 'event_before')), 0));
INSERT INTO state VALUES ('rolled', (SELECT value - 1 FROM state WHERE name = 'next'));

CREATE TABLE partial_day (
    tenant INTEGER NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;

-- Events whose message is not known yet, and the names (hashed) it may become known by.
CREATE TABLE waiting (
    event_id BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_of_time ON waiting (at_ms);
CREATE TABLE waiting_name (
    name INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (name, event_id)
) STRICT, WITHOUT ROWID;
