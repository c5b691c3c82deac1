-- So many hits of one client that one event stands for: repeats are told together (`spool.fold`).
ALTER TABLE event ADD COLUMN hits INTEGER NOT NULL DEFAULT 1;
