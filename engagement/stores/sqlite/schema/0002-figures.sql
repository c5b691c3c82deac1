-- Figures of an hour as absolute numbers (JSON). campaign '' for all events of the hour. hour: since 1970.

CREATE TABLE figure (
    tenant TEXT NOT NULL,
    campaign TEXT NOT NULL,
    hour INTEGER NOT NULL,
    figures TEXT NOT NULL,
    PRIMARY KEY (tenant, campaign, hour)
) STRICT, WITHOUT ROWID;

CREATE INDEX figure_by_hour ON figure (hour);

-- Hours whose figures are older than their events.
CREATE TABLE stale_hour (
    tenant TEXT NOT NULL,
    hour INTEGER NOT NULL,
    PRIMARY KEY (tenant, hour)
) STRICT, WITHOUT ROWID;

INSERT INTO stale_hour SELECT DISTINCT tenant, at_ms / 3600000 FROM event;
