BEGIN TRANSACTION;
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
INSERT INTO "event" VALUES(1,X'01A1773B1090700080018DA185B98D94','injection',1793001722000,'',X'00000000000000000000000000000001',X'0000000000000007','ida@example.net','autumn',X'','',0,'{"type":"injection","event_id":"01a1773b-1090-7000-8001-8da185b98d94","timestamp":"2026-10-26T08:02:02.000Z","message_id":"00000000000000000000000000000001","transmission_id":"7","rcpt_to":"ida@example.net","raw_rcpt_to":"Ida@Example.net","recipient_domain":"example.net","campaign_id":"autumn","friendly_from":"news@example.org","sending_domain":"example.org","msg_from":"b@example.org","subject":"Autumn","msg_size":"20480","injection_time":"2026-10-26T08:02:02.000Z","transactional":"0","open_tracking":true,"click_tracking":true,"initial_pixel":false,"amp_enabled":false,"x_queue_id":"q"}');
INSERT INTO "event" VALUES(2,X'01A1773E1DD0700080018DA185B98D94','open',1793001922000,'',X'00000000000000000000000000000001',X'0000000000000007','ida@example.net','spring',X'27E5A623AD6915A3','human',0,'{"type":"open","event_id":"01a1773e-1dd0-7000-8001-8da185b98d94","timestamp":"2026-10-26T08:05:22.000Z","message_id":"00000000000000000000000000000001","transmission_id":"7","campaign_id":"spring","rcpt_to":"ida@example.net","raw_rcpt_to":"Ida@Example.net","recipient_domain":"example.net","injection_time":"2026-09-26T08:02:02.000Z","transactional":"0","ip_address":"203.0.113.9","user_agent":"Mozilla/5.0 (X11) Firefox/140.0","user_agent_parsed":{"is_proxy":false,"is_prefetched":false},"x_client_class":"human","x_client_reason":"browser","x_client_rules":"2","x_host":"h"}');
INSERT INTO "event" VALUES(3,X'01A177412B10700080018DA185B98D94','click',1793002122000,'',X'00000000000000000000000000000001',X'0000000000000007','ida@example.net','spring',X'F340D1424FB7716C','human',0,'{"type":"click","event_id":"01a17741-2b10-7000-8001-8da185b98d94","timestamp":"2026-10-26T08:08:42.000Z","message_id":"00000000000000000000000000000001","transmission_id":"7","campaign_id":"spring","rcpt_to":"ida@example.net","raw_rcpt_to":"Ida@Example.net","recipient_domain":"example.net","injection_time":"2026-09-26T08:02:02.000Z","transactional":"0","ip_address":"203.0.113.9","user_agent":"Mozilla/5.0 (X11) Firefox/140.0","user_agent_parsed":{"is_proxy":false,"is_prefetched":false},"target_link_url":"https://example.org/","target_link_name":"Raw URL","x_client_class":"human","x_client_reason":"browser","x_client_rules":"2","x_host":"h"}');
INSERT INTO "event" VALUES(4,X'01A177781990700080018DA185B98D94','click',1793005722000,'',X'00000000000000000000000000000002',X'0000000000000007','ole@example.org','autumn',X'5FC4F4A99A87F87C','human',1,'{"type":"click","event_id":"01a17778-1990-7000-8001-8da185b98d94","timestamp":"2026-10-26T09:08:42.000Z","message_id":"00000000000000000000000000000002","transmission_id":"7","campaign_id":"autumn","rcpt_to":"ole@example.org","raw_rcpt_to":"ole@example.org","recipient_domain":"example.org","injection_time":"2026-09-26T08:02:02.000Z","transactional":"0","ip_address":"203.0.113.9","user_agent":"Mozilla/5.0 (X11) Firefox/140.0","user_agent_parsed":{"is_proxy":false,"is_prefetched":false},"target_link_url":"https://example.org/","target_link_name":"Raw URL","x_client_class":"human","x_client_reason":"browser","x_client_rules":"2","x_host":"h","x_expired":true}');
CREATE TABLE message (
    message_id BLOB PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    fields TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "message" VALUES(X'00000000000000000000000000000001',1793001722000,'{"campaign_id":"autumn","friendly_from":"news@example.org","sending_domain":"example.org","msg_from":"b@example.org","subject":"Autumn","msg_size":"20480","injection_time":"2026-10-26T08:02:02.000Z","transactional":"0","open_tracking":true,"click_tracking":true,"initial_pixel":false,"amp_enabled":false}');
CREATE INDEX event_by_time ON event (at_ms, event_id);
CREATE INDEX event_by_message ON event (message_id, at_ms);
CREATE INDEX event_by_transmission ON event (transmission_id, at_ms);
CREATE INDEX event_by_recipient ON event (recipient, at_ms) WHERE recipient <> '';
CREATE INDEX event_by_campaign ON event (campaign, at_ms) WHERE campaign <> '';
CREATE INDEX event_by_link
    ON event (link, type, client, at_ms, event_id, message_id, expired, tenant);
CREATE INDEX message_by_time ON message (at_ms);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',4);
COMMIT;
PRAGMA user_version = 1;
