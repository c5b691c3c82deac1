-- What a message's outcomes, labels and names need.

ALTER TABLE event ADD COLUMN certain INTEGER NOT NULL DEFAULT 1;
ALTER TABLE event ADD COLUMN domain TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN sending_domain TEXT NOT NULL DEFAULT '';
ALTER TABLE event ADD COLUMN ordinal INTEGER NOT NULL DEFAULT -1;
ALTER TABLE event ADD COLUMN bounce_class INTEGER NOT NULL DEFAULT 0;

-- Names of messages, hashed, and the injections they lead to.
CREATE TABLE lookup (
    name BLOB NOT NULL,
    event_id BLOB NOT NULL,
    message_id BLOB NOT NULL,
    PRIMARY KEY (name, event_id)
) STRICT, WITHOUT ROWID;

-- Events whose message is not known yet, and the names (hashed) it may become known by.
CREATE TABLE waiting (
    event_id BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_by_time ON waiting (at_ms);
CREATE TABLE waiting_name (
    name BLOB NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (name, event_id)
) STRICT, WITHOUT ROWID;

-- Labels that hits had before, each until it was classified anew.
CREATE TABLE verdict (
    event_id BLOB NOT NULL,
    until_ms INTEGER NOT NULL,
    client TEXT NOT NULL,
    reason TEXT NOT NULL,
    rules TEXT NOT NULL,
    certain INTEGER NOT NULL,
    PRIMARY KEY (event_id, until_ms)
) STRICT, WITHOUT ROWID;
