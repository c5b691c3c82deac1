"""How long each page takes over a month of mail, through all of `smtpapi web` but its server.

`--file PATH --events N` makes an SQLite file if it is not there, `--cassandra PORT --events N` a keyspace on
a node at 127.0.0.1 (`month`). Each page is asked for `--rounds` times with other values, in this process and
without a network. Told are milliseconds of the processor: of the first one in a new process, middle, 95th
percentile, worst; and the first and the middle on the clock, which on a machine that does something else as
well is another matter. With Cassandra, a process of its own, only the clock tells all; beside it stands how
many round trips (asks) and statements a page made. `--only TEXT`: the pages with this in their names.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flask.testing import FlaskClient

from bench import month
from bench.store_cassandra_reads import counted
from bench.store_mail import DAYS, START
from engagement.events.fields import Fields
from engagement.settings import load_file
from tracker_web.web.app import create_app

_DAY = 86_400_000


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


MONTH = f"from={_date(START)}&to={_date(START + (DAYS - 1) * _DAY)}"
Made = Callable[[Fields], str]


def _of(path: str, field: str) -> Made:
    return lambda event: path + quote(str(event.get(field, "x")))


PAGES: dict[str, Made] = {
    "overview, a month": lambda _event: f"/?{MONTH}",
    "overview, compared": lambda _event: f"/?{MONTH}&compare=previous",
    "overview, every hit": lambda _event: f"/?{MONTH}&count=total",
    "overview, a day": lambda event: "/?from={0}&to={0}".format(str(event["timestamp"])[:10]),
    "campaigns": lambda _event: f"/campaigns?{MONTH}",
    "campaign": _of("/campaigns/", "campaign_id"),
    "click map": _of("/map/", "campaign_id"),
    "recipients of a campaign": _of("/reached/", "campaign_id"),
    "who clicked of a campaign": lambda event: (
        f"/reached/{quote(str(event.get('campaign_id', 'x')))}?state=clicked"
    ),
    "messages, latest": lambda _event: "/messages",
    "messages of a recipient": _of("/messages?q=", "rcpt_to"),
    "messages of a Message-ID": _of("/messages?q=", "x_message_id_header"),
    "messages of a campaign": _of("/messages?campaign=", "campaign_id"),
    "messages of a domain": _of("/messages?domain=", "recipient_domain"),
    "messages, bounces": lambda _event: "/messages?type=bounce",
    "message": _of("/messages/", "message_id"),
    "recipient": _of("/recipients?address=", "rcpt_to"),
    "erasing a recipient": _of("/recipients/erase?address=", "rcpt_to"),
    "machines": lambda _event: f"/machines?{MONTH}",
    "a rule": lambda event: f"/machines/rule/{event.get('x_client_reason', 'browser')}?{MONTH}",
    "a rule tried": lambda _event: "/machines/try?rule=browser&as=off",
    "live": lambda _event: "/live",
    "live, new events": lambda _event: "/live/new?after=",
    "suppression": lambda _event: "/suppression",
    "webhooks": lambda _event: "/webhooks",
    "domains": lambda _event: "/domains",
    "users and keys": lambda _event: "/access",
    "pipeline": lambda _event: "/pipeline",
    "campaigns as CSV": lambda _event: f"/campaigns?{MONTH}&export=csv",
}


def timed_get(client: FlaskClient, path: str, accepted: str) -> tuple[float, float, int]:
    """Milliseconds of the processor and on the clock, and the status; a page that is late is waited for."""
    headers = {"Accept-Language": accepted}
    cpu, clock = time.process_time(), time.monotonic()
    answer = client.get(path, headers=headers)
    while answer.status_code == 503 and b"takes its time" in answer.data:
        time.sleep(0.01)
        answer = client.get(path, headers=headers)
    return (time.process_time() - cpu) * 1000, (time.monotonic() - clock) * 1000, answer.status_code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    month.options(parser)
    parser.add_argument("--only", default="")
    parser.add_argument("--days", type=int, default=DAYS, help="of the month that there are")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--language", default="en")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "smtpapi.conf"
        config.write_text(
            f'smtpapi {{ }}\n{month.stanzas(arguments)}spool {{ directory = "{folder}" }}\n'
            f'registry {{ path = "{folder}/registry.db" }}\nweb {{ token_file = "{folder}/token" }}\n'
        )
        store = month.filled(arguments, config)
        events = month.samples(store, arguments.rounds, arguments.days)
        store.close()
        client = create_app(load_file(config)).test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = "Bearer " + (Path(folder) / "token").read_text().strip()
        more = "   asks  statements" if arguments.cassandra else ""
        print(f"{'page':28}   first  median     p95   worst   clock: first  median{more}  status")
        for name, made in PAGES.items():
            if arguments.only not in name:
                continue
            with counted() as counts:
                taken = [timed_get(client, made(event), arguments.language) for event in events]
            times, clocks, statuses = ([*each] for each in zip(*taken, strict=True))
            worst, centiles = max(times), statistics.quantiles(times, n=20)
            row = times[0], statistics.median(times), min(centiles[18], worst), worst
            numbers = " ".join(f"{each:7.1f}" for each in row)
            clock = f"{clocks[0]:12.1f} {statistics.median(clocks):7.1f}"
            if arguments.cassandra:
                clock += f" {counts.asks / len(events):6.1f} {counts.statements / len(events):6.1f}"
            print(f"{name:28} {numbers} {clock}  {set(statuses)}", flush=True)


if __name__ == "__main__":
    main()
