BEGIN TRANSACTION;
CREATE TABLE document (
        kind TEXT NOT NULL, key TEXT NOT NULL, data TEXT, version INTEGER NOT NULL,
        changed_ms INTEGER NOT NULL, place INTEGER NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
INSERT INTO "document" VALUES('sample','one','{"name":"Ida","n":[1,2,3]}',2,1793001722373,4);
INSERT INTO "document" VALUES('sample','two',NULL,2,1793001722373,3);
CREATE TABLE last (kind TEXT PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "last" VALUES('sample',4);
CREATE INDEX by_place ON document (kind, place);
COMMIT;
PRAGMA user_version = 1;
