-- An event is kept as the spool's record, a third of its fields as JSON; body of a row from before, or of one
-- whose fields were handed in, is that JSON. What repeats what is found by message. tags: the tag set's id,
-- NULL for none.

ALTER TABLE event RENAME TO event_before;

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
    reason TEXT,
    rules TEXT,
    rcpt_hash TEXT,
    tags BLOB,
    body BLOB NOT NULL
) STRICT;

INSERT INTO event (place, event_id, type, at_ms, tenant, message_id, transmission_id, recipient, campaign, link,
    client, expired, rules, body)
SELECT place, event_id, type, at_ms, tenant, message_id, transmission_id, recipient, campaign, link,
    client, expired, json_extract(fields, '$.x_client_rules'), CAST(fields AS BLOB)
FROM event_before ORDER BY place;

-- Places are never given twice, also when the newest rows were removed.
DELETE FROM sqlite_sequence WHERE name = 'event';
INSERT INTO sqlite_sequence (name, seq) SELECT 'event', seq FROM sqlite_sequence WHERE name = 'event_before';

DROP TABLE event_before;

-- An index of its own: the id of an injection begins with the mail's Date, not with when it happened.
CREATE INDEX event_by_time ON event (at_ms, event_id);
CREATE INDEX event_by_message ON event (message_id, at_ms);
CREATE INDEX event_by_transmission ON event (transmission_id, at_ms);
CREATE INDEX event_by_recipient ON event (recipient, at_ms) WHERE recipient <> '';
CREATE INDEX event_by_campaign ON event (campaign, at_ms) WHERE campaign <> '';

-- The sets of tags that a customer's messages carry, each once. set_id: of `tags.set_id`. tags: JSON array.
-- used: the last day since 1970 that it was seen.
CREATE TABLE tag_set (
    tenant TEXT NOT NULL,
    customer TEXT NOT NULL,
    set_id BLOB NOT NULL,
    tags TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant, customer, set_id)
) STRICT, WITHOUT ROWID;
