"""Folder, ports and configuration of the demonstration. Nothing is started here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Addresses that Postfix does not deliver to; all others are delivered.
BOUNCING, DEFERRING = "bounce@example.test", "defer@example.test"
TRANSPORTS = f"inline:{{ {{ {BOUNCING} = bouncing: }}, {{ {DEFERRING} = deferring: }} }}"
# Two lines of master.cf: pipe(8) goes by the exit status of the program (sysexits.h).
SERVICES = """\
bouncing  unix - n n - - pipe flags= user=nobody argv=/bin/sh -c { echo "no such user here"; exit 67 }
deferring unix - n n - - pipe flags= user=nobody argv=/bin/sh -c { echo "mailbox full"; exit 75 }
"""

MADE_BY = "# Made by `make run` at each start. Remove this line to keep your own changes."

_CONFIG = """\
{made_by}
# What each option means: docs/settings.md, etc/smtpapi.conf.

smtpapi {{ }}

ESMTP_Listener {{
  Listen "127.0.0.1:{smtp}" {{ }}
  open_tracking_enabled = true
  click_tracking_enabled = true
  tracking_domain = "localhost:{http}"
  keep_html_days = 30          # of each campaign one copy: for its click map, and links before and after
}}

milter {{
  socket = "unix:{socket}"
  workers = 2
  user = "root"                # a demonstration; a service has a user of its own
  counters_directory = "{run}/counters"
}}
rewriting {{
  several_recipients = split   # a copy with links of its own for each
  split_listener = "127.0.0.1:{hop}"
}}
spool {{ directory = "{run}/spool" }}
follow {{ log = "{run}/log/postfix.log" node_name = "mail.example.test" state = "{run}/follow.db" }}
{store}
registry {{ path = "{run}/registry.db" }}
suppression {{ snapshot = "{run}/suppressed.snapshot" }}
entered_domains {{ enabled = true snapshot = "{run}/tracking-domains.json" }}  # docs/api.md
webhooks {{
  allow_targets = ("127.0.0.1" "localhost")  # so that a program of yours here can be one
  batch_time = 1                             # seconds that an event waits for others
}}
keys {{ ring = "{run}/etc/keys" }}
tracker {{ listen = "127.0.0.1:{http}" }}
web {{ listen = "127.0.0.1:{web}" token_file = "{run}/etc/web-token" }}
transmissions {{ enabled = true relay = "127.0.0.1:{smtp}" }}   # docs/api.md, Sending
metrics {{                      # curl --unix-socket FILE http://localhost/metrics
  milter = "unix:{run}/metrics/milter" tracker = "unix:{run}/metrics/tracker"
  shipper = "unix:{run}/metrics/shipper" follower = "unix:{run}/metrics/follower"
  web = "unix:{run}/metrics/web"
}}
"""

_SQLITE = 'store {{ path = "{run}/events.db" }}'
_CASSANDRA = """\
store {{ engine = cassandra }}
cassandra_client {{
  uri = ("name=cassandra_db;host=127.0.0.1;port={port}")
  replication = [ datacenter1 = "1" ]  # one node; a service has three or more
  shards = 1                           # and more events an hour
}}"""


class Unable(Exception):
    """The demonstration cannot start or go on. The text is one line that says what to do."""


def _port(name: str, environment: Mapping[str, str], default: int, others: tuple[int, ...]) -> int:
    """Return a port named by the environment. others: ports of the other parts.

    Raises Unable for a text that is no port number, and for a port of another part.
    """
    text = environment.get(name) or str(default)
    setting = f"{name}={text}" + ("" if environment.get(name) else " (the default)")
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise Unable(f"{setting}: expected a port number, 1 to 65535; choose one with {name}=…")
    if int(text) in others:
        raise Unable(f"{setting}: another part of the demonstration listens there; choose one with {name}=…")
    return int(text)


@dataclass(frozen=True)
class Place:
    """Folder and ports.

    run: the folder. hop: the port where mail for several recipients comes back. web: the port of the page of
    events. cassandra: its port, None for SQLite.
    """

    run: Path
    smtp: int
    http: int
    hop: int
    web: int
    cassandra: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Place":
        """Read RUN_DIR, PORT_SMTP, PORT_HTTP, PORT_HOP, PORT_WEB, STORE and PORT_CASSANDRA.

        Raises Unable for a value that cannot be used.
        """
        store = environment.get("STORE") or "sqlite"
        if store not in ("sqlite", "cassandra"):
            raise Unable(f"STORE={store}: expected sqlite or cassandra")
        smtp = _port("PORT_SMTP", environment, 2525, ())
        http = _port("PORT_HTTP", environment, 8080, (smtp,))
        hop = _port("PORT_HOP", environment, smtp + 1, (smtp, http))
        web = _port("PORT_WEB", environment, 8090, (smtp, http, hop))
        cassandra = None
        if store == "cassandra":
            cassandra = _port("PORT_CASSANDRA", environment, 9142, (smtp, http, hop, web))
        run = Path(environment.get("RUN_DIR") or ".run").absolute()
        if re.search(r"[\s\"{}]", str(run)):
            raise Unable(
                f"RUN_DIR={run}: Postfix takes no white space, quotes or braces in it; choose another"
            )
        return cls(run, smtp, http, hop, web, cassandra)

    @property
    def web_url(self) -> Path:
        """Return the file with the URL that opens the page of events signed in."""
        return self.run / "web-url"

    @property
    def api_key(self) -> Path:
        """Return the file with a key of the HTTP API that has every scope."""
        return self.run / "api-key"

    @property
    def config(self) -> Path:
        """Return the configuration file in use."""
        return self.run / "etc" / "smtpapi.conf"

    def configuration(self, milter_socket: Path) -> str:
        """Return the text of the configuration file. milter_socket: where the filter listens."""
        store = (_CASSANDRA if self.cassandra else _SQLITE).format(run=self.run, port=self.cassandra)
        return _CONFIG.format(
            made_by=MADE_BY,
            smtp=self.smtp,
            http=self.http,
            hop=self.hop,
            web=self.web,
            socket=milter_socket,
            run=self.run,
            store=store,
        )
