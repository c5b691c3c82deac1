"""How long each call of the HTTP API takes over a month of mail, through all of `smtpapi web` but its server.

`--file PATH --events N` makes an SQLite file if it is not there, `--cassandra PORT --events N` a keyspace on
a node at 127.0.0.1 (`month`). Each call is made `--rounds` times with other values, in this process and
without a network. Told are milliseconds of the processor: middle, 99th percentile, worst; and the middle on
the clock. `--only TEXT`: the calls with this in their names.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import month
from bench.store_mail import DAYS, START
from engagement.access.keys import ApiKeys
from engagement.events.fields import Fields
from engagement.registry import open_registry
from engagement.settings import load_file
from tracker_web.web.app import create_app

_DAY = 86_400_000
_END = START + DAYS * _DAY
Made = Callable[[Fields, random.Random], str]


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ALL = f"from={_time(START - _DAY)}&to={_time(_END + _DAY)}&per_page=100"


def _search(name: str, field: str) -> Made:
    return lambda event, _chance: (
        f"events/message?{ALL}&{name}={str(event.get(field, 'x')).replace('+', '%2B')}"
    )


def _day(_event: Fields, chance: random.Random) -> str:
    since = START + chance.randrange(DAYS - 1) * _DAY
    return f"events/message?from={_time(since)}&to={_time(since + _DAY)}&per_page=1000"


def _figures(path: str, hours: int = DAYS * 24, more: str = "") -> Made:
    """Figures of so many hours, of all of them by default."""

    def made(_event: Fields, chance: random.Random) -> str:
        since = START + chance.randrange(max(1, DAYS * 24 - hours)) * 3_600_000
        window = f"from={_time(since)}&to={_time(since + hours * 3_600_000)}"
        return f"metrics/deliverability{path}?{window}&metrics={METRICS}{more}"

    return made


METRICS = "count_injected,count_delivered,count_rendered,count_unique_clicked,count_bounce"
LARGEST = "&order_by=count_injected&limit=100"
CALLS: dict[str, Made] = {
    "events, latest 100 of all": lambda _event, _chance: f"events/message?{ALL}",
    "events, 1,000 of a day": _day,
    "events of a recipient": _search("recipients", "rcpt_to"),
    "events of a message": _search("messages", "message_id"),
    "events of a transmission": _search("transmissions", "transmission_id"),
    "events of a Message-ID": _search("x_message_id_headers", "x_message_id_header"),
    "events by id": _search("event_ids", "event_id"),
    "events of a campaign": _search("campaigns", "campaign_id"),
    "events of a recipients' domain": _search("recipient_domains", "recipient_domain"),
    "events of a sending domain": _search("sending_domains", "sending_domain"),
    "events of a From address": _search("from_addresses", "friendly_from"),
    "events of a type": _search("events", "type"),
    "bounces": lambda _event, _chance: f"events/message?{ALL}&events=bounce",
    "events of a subject": _search("subjects", "subject"),
    "timeline": lambda event, _chance: f"x/messages/{event['message_id']}/timeline",
    "export of a recipient": lambda event, _chance: f"x/recipients/{event.get('rcpt_to', 'x@x.example')}",
    "figures, a month": _figures(""),
    "figures, a day": _figures("", 24),
    "figures, a month by hour": _figures("/time-series", more="&precision=hour"),
    "figures, a month by day": _figures("/time-series", more="&precision=day"),
    "figures by campaign, a month": _figures("/campaign", more=LARGEST),
    "figures by domain, a month": _figures("/domain", more=LARGEST),
    "figures by link, a month": lambda event, chance: _figures("/link-name")(event, chance).replace(
        METRICS, "count_clicked"
    ),
    "figures by sending domain, an hour": _figures("/sending-domain", 1, "&precision=hour"),
    "figures by tag, an hour": _figures("/tag", 1, "&precision=hour"),
    "figures by sending domain, a day": _figures("/sending-domain", 24, "&precision=hour"),
    "figures by tag, a day": _figures("/tag", 24, "&precision=hour"),
    "figures by sending domain, a month": _figures("/sending-domain"),
    "figures by tag, a month": _figures("/tag"),
    "figures of a sending domain, a month": lambda event, chance: (
        _figures("")(event, chance) + f"&sending_domains={event.get('sending_domain', 'sender1.example.org')}"
    ),
    "bounce reasons, a day": _figures("/bounce-reason", 24),
    "delay reasons, a day": _figures("/delay-reason", 24),
    "campaigns": lambda _event, _chance: "metrics/campaigns",
    "domains of recipients": lambda _event, _chance: "metrics/domains",
    "sending domains": lambda _event, _chance: "metrics/sending-domains",
    "webhooks": lambda _event, _chance: "webhooks",
    "tracking domains": lambda _event, _chance: "tracking-domains",
    "openapi.json": lambda _event, _chance: "openapi.json",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    month.options(parser)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "smtpapi.conf"
        config.write_text(
            f"smtpapi {{ }}\n{month.stanzas(arguments)}"
            f'registry {{ path = "{folder}/registry.db" }}\nweb {{ token_file = "{folder}/token" }}\n'
        )
        settings = load_file(config)
        store = month.filled(arguments, config)
        events = month.samples(store, arguments.rounds)
        store.close()
        key = ApiKeys(open_registry(settings)).add("bench", ("all",))
        client = create_app(settings).test_client()
        print(f"{'call':38}  median     p99   worst  ms of the processor; clock; status")
        for name, made in CALLS.items():
            if arguments.only not in name:
                continue
            times, clocks, statuses = [], [], set()
            for event in events:
                path = "/api/v1/" + made(event, chance)
                began, clock = time.process_time(), time.monotonic()
                answer = client.get(path, headers={"Authorization": key})
                times.append((time.process_time() - began) * 1000)
                clocks.append((time.monotonic() - clock) * 1000)
                statuses.add(answer.status_code)
            worst, centiles = max(times), statistics.quantiles(times, n=100)
            figures = statistics.median(times), min(centiles[98], worst), worst
            numbers = " ".join(f"{each:7.1f}" for each in (*figures, statistics.median(clocks)))
            print(f"{name:38} {numbers}  {statuses}", flush=True)


if __name__ == "__main__":
    main()
