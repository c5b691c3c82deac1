"""Print the links of the sample before and after, what to try next, and events as they come."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from demo.place import BOUNCING, DEFERRING, Place
from engagement.links.model import RAW_URL, Opened
from engagement.links.ring_file import load_ring
from engagement.links.token import open_token
from engagement.links.urls import read_path
from engagement.settings import load_file
from engagement.stores.port import EventStore, StoreError


def show(place: Place, maildir: Path, delivered: Path) -> None:
    """Print the links of the sample, before and after, and what to do next."""
    ring = load_ring(Path(load_file(place.config).keys.ring))
    bold, normal = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}A newsletter was sent and delivered{normal} to\n  {delivered}\n")
    print(f"{bold}Its links, before and after:{normal}")
    first = ""
    for kind, url in _tracked_urls(delivered, place.http):
        requested = read_path(re.sub(r"^https?://[^/]+", "", url).encode())
        if requested is None:
            continue
        opened = open_token(requested.token, ring)
        first = first or (url if opened.link else "")
        print(f"  {kind:5} {_shown(opened)}\n     -> {url if len(url) < 100 else url[:97] + '...'}")
    example = f"curl -sI '{first}'" if first else ""
    print(
        f"""
{bold}Try it:{normal}
  open      {place.web_url.read_text().strip()}
            what happened to your mail; the address signs you in, so keep it to yourself
  api       http://localhost:{place.web}/api/v1/docs, with the key in {place.api_key}:
            curl -H "Authorization: $(cat {place.api_key})" \\
              "http://localhost:{place.web}/api/v1/events/message?to=2100-01-01"
  click     {example or "any link above"}
  send      .venv/bin/smtpapi send --server 127.0.0.1:{place.smtp} --to you@example.test FILE.eml
            (or any SMTP client at 127.0.0.1:{place.smtp}; every address is delivered to
            {maildir}/new/)
  bounce    the same --to {BOUNCING}, and --to {DEFERRING}: what became of it shows below
  look      .venv/bin/smtpapi decode --config {place.config} URL
            .venv/bin/smtpapi preview --config {place.config} FILE.eml
  settings  {place.config}
  logs      {place.run}/log/

{bold}Events as they come{normal} (Ctrl-C stops everything):""",
        flush=True,
    )


def follow(store: EventStore, mark: str, check: Callable[[], None]) -> None:
    """Print a line for each event, for ever.

    check: called often. Raises what it raises when a part has died.
    """
    seen: dict[str, None] = {}  # the store may return one twice
    while True:
        try:
            arrivals = store.arrivals(mark)
        except StoreError:
            arrivals = None  # locked for a moment by the shipper
        if arrivals is not None:
            mark = arrivals.mark
            for event in arrivals.events:
                if str(event["event_id"]) not in seen:
                    seen[str(event["event_id"])] = None
                    print(_line(event), flush=True)
            while len(seen) > 10_000:
                del seen[next(iter(seen))]
        check()
        time.sleep(0.3)


def _line(event: Mapping[str, object]) -> str:
    moment = datetime.fromisoformat(str(event["timestamp"])).astimezone()
    columns = [
        f"{moment:%H:%M:%S}",
        f"{event['type']!s:16}",
        str(event.get("rcpt_to") or "-"),
        f"campaign={event.get('campaign_id') or '-'}",
    ]
    machine = event.get("x_client_class")
    if machine not in (None, "human"):
        columns[1] = f"{event['type']} ({machine})".ljust(16)
    if event.get("target_link_url"):
        columns.append(f"link={event.get('target_link_name') or RAW_URL} {event['target_link_url']}")
    columns += [str(event[name]) for name in ("x_enhanced_code", "reason") if event.get(name)]
    return "  " + "  ".join("".join(c if c.isprintable() else "?" for c in text) for text in columns)


def _tracked_urls(file: Path, port: int) -> Iterator[tuple[str, str]]:
    """Yield the tracked links of a delivered file as (subtype of the part, URL), each once a part."""
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        if part.get_content_maintype() == "text":
            text = part.get_content()
            for url in dict.fromkeys(re.findall(rf"https?://localhost:{port}/[^\s\"'<>\])]+", text)):
                yield part.get_content_subtype(), url


def _shown(opened: Opened) -> str:
    if opened.link is None:
        return f"({opened.kind.name.lower().replace('_', ' ')} pixel)"
    return f"{opened.link.target.decode()}  [{opened.link.name or RAW_URL}]"
