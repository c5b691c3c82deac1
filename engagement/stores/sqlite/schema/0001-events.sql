-- Events, and what events borrow from the injection of their message. Identifiers are 16 bytes, not text:
-- they stand in the indexes. place is the order of arrival, and is never given twice.

CREATE TABLE event (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL UNIQUE,
    type TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    message_id BLOB NOT NULL,
    transmission_id BLOB NOT NULL,
    recipient TEXT NOT NULL,
    campaign TEXT NOT NULL,
    link BLOB NOT NULL,
    client TEXT NOT NULL,
    expired INTEGER NOT NULL,
    fields TEXT NOT NULL
) STRICT;

CREATE INDEX event_by_time ON event (at_ms, event_id);
CREATE INDEX event_by_message ON event (message_id, at_ms);
CREATE INDEX event_by_transmission ON event (transmission_id, at_ms);
CREATE INDEX event_by_recipient ON event (recipient, at_ms) WHERE recipient <> '';
CREATE INDEX event_by_campaign ON event (campaign, at_ms) WHERE campaign <> '';
-- All that repeats and figures are made of, so that neither looks at a row.
CREATE INDEX event_by_link
    ON event (link, type, client, at_ms, event_id, message_id, expired, tenant);

CREATE TABLE message (
    message_id BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    fields TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX message_by_time ON message (at_ms);
