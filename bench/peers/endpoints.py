"""The tracker's two answers beside what others give, under the same load: requests a second, in turns.

nginx with its own `empty_gif` and a redirect that stands in its configuration looks nothing up and keeps
nothing: no program answers faster, it is the limit. "nothing" is an application that knows its answer
beforehand, under the server that ours has. Flask is the tracker as a plain view, pytracking the view of its
documentation; neither keeps an event. Ours opens the sealed token, and the event is in its spool.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from flask import Flask, Response, redirect, request
from flask.typing import ResponseReturnValue

from bench import tracker
from bench.machine import free_port
from bench.tracker import PIXEL, TARGET, Paths, Taken

LABELS = ("nginx, nothing looked up", "nothing, under our server", "ours", "Flask", "pytracking in Flask")
_NGINX, _NOTHING, _OURS, _FLASK, _PYTRACKING = LABELS
_BASE_CLICK, _BASE_OPEN = f"https://{tracker.HOST}/c/", f"https://{tracker.HOST}/q/"


def _seen() -> dict[str, str]:
    return {"user_agent": request.user_agent.string, "user_ip": request.remote_addr or ""}


def pytracking_app() -> Flask:
    """Return pytracking's two views, as its documentation has them for Django, in Flask."""
    from pytracking import Configuration, get_click_tracking_result, get_open_tracking_result

    settings = Configuration(base_click_tracking_url=_BASE_CLICK, base_open_tracking_url=_BASE_OPEN)
    app = Flask("peer")

    @app.get("/c/<path:token>")
    def click(token: str) -> ResponseReturnValue:
        found = get_click_tracking_result(token, _seen(), configuration=settings)
        return redirect(found.tracked_url)

    @app.get("/q/<path:token>")
    def pixel(token: str) -> ResponseReturnValue:
        get_open_tracking_result(token, _seen(), configuration=settings)
        return Response(PIXEL, content_type="image/gif")

    return app


def _pytracking_paths(folder: Path) -> tuple[Paths, Paths]:
    from pytracking import Configuration, get_click_tracking_url, get_open_tracking_url

    settings = Configuration(base_click_tracking_url=_BASE_CLICK, base_open_tracking_url=_BASE_OPEN)
    host = f"https://{tracker.HOST}"
    clicks, opens = [], []
    for _ in range(tracker.LINKS // 10):
        facts = {"message": os.urandom(8).hex(), "recipient": "ida@example.net", "campaign": "autumn"}
        clicks.append(
            get_click_tracking_url(TARGET.decode(), facts, configuration=settings).removeprefix(host)
        )
        opens.append(get_open_tracking_url(facts, configuration=settings).removeprefix(host))
    return tracker.in_turn(folder / "peer-clicks", clicks), tracker.in_turn(folder / "peer-opens", opens)


@contextmanager
def _nginx(folder: Path, workers: int) -> Iterator[tuple[int, int]]:
    port, place = free_port(), folder / "nginx"
    place.mkdir()
    (place / "nginx.conf").write_text(
        f"daemon off; worker_processes {workers}; pid {place}/pid; error_log stderr crit;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {place};\n"
        f"proxy_temp_path {place}; fastcgi_temp_path {place}; uwsgi_temp_path {place};\n"
        f"scgi_temp_path {place};\n"
        f"server {{ listen 127.0.0.1:{port};\n"
        f"location /q/ {{ empty_gif; }} location / {{ return 302 '{TARGET.decode()}'; }} }} }}\n"
    )
    command = ["nginx", "-c", str(place / "nginx.conf"), "-e", "stderr"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        tracker.wait_for_port(port)
        yield port, process.pid
    finally:
        tracker.stop(process)


def measure(rounds: int, seconds: float, workers: int = 2) -> dict[str, list[dict[str, Taken]]]:
    """Return by kind of request ("redirect", "pixel") each round's measurement by label."""
    arguments = argparse.Namespace(seconds=seconds, workers=workers, threads=1, connections=32)
    load = tracker.wrk if shutil.which("wrk") else tracker.own_client
    found: dict[str, list[dict[str, Taken]]] = {"redirect": [], "pixel": []}
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as name, ExitStack() as servers:
        folder = Path(name)
        config, ring = tracker.configuration(folder, workers)
        ours = dict(zip(found, tracker.links(folder, ring, int(time.time())), strict=True))
        theirs = dict(zip(found, _pytracking_paths(folder), strict=True))
        served = {_OURS: "fast", _FLASK: "flask", _NOTHING: "nothing"}
        running = {
            label: servers.enter_context(tracker.served(known, folder, config, ring, arguments))
            for label, known in served.items()
        }
        running[_NGINX] = servers.enter_context(_nginx(folder, workers))
        running[_PYTRACKING] = servers.enter_context(
            tracker.granian(
                "bench.peers.endpoints:pytracking_app", workers, asgi=False, factory=True, threads=1,
                folder=folder, variables={},
            )
        )  # fmt: skip
        for label, (port, _) in running.items():
            paths = theirs if label == _PYTRACKING else ours
            tracker.check(port, paths["redirect"].all[0], b"302", TARGET)
            tracker.check(port, paths["pixel"].all[0], b"200", b"GIF89a")
            load(port, paths["redirect"], arguments.connections, 1)
        for number in range(rounds):
            for kind, taken in found.items():
                taken.append({})
                for label in LABELS if number % 2 else reversed(LABELS):
                    paths = theirs if label == _PYTRACKING else ours
                    taken[-1][label] = tracker.take(load, *running[label], paths[kind], arguments)
    return found


def table(found: dict[str, list[dict[str, Taken]]]) -> str:
    """Return the Markdown table: medians, and in brackets the distance of the quartiles."""
    lines = [
        "| | redirects/s | µs of CPU each | ours is | pixels/s | µs of CPU each | ours is |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for label in LABELS:
        cells = [label]
        for rounds in found.values():
            rates = [each[label].rate for each in rounds]
            ratio = statistics.median(each[_OURS].rate / each[label].rate for each in rounds)
            spent = statistics.median(each[label].cpu for each in rounds)
            cells += [
                f"{statistics.median(rates):,.0f} ({_spread(rates):.0%})",
                f"{spent:.0f}",
                f"{ratio:.2f}",
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(rates: list[float]) -> float:
    if len(rates) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(rates, n=4)
    return (high - low) / middle
