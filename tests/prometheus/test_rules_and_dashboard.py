"""The rules, the scrape jobs and the dashboard in etc/: valid, and about metrics that the programs show."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from engagement.maillogs import metrics as follower
from engagement.metrics.model import Kind, Metric
from engagement.settings.option import options_of
from engagement.settings.schema import MetricsStanza
from engagement.shipper import metrics as shipper
from engagement.webhooks.sending import metrics as webhooks
from prometheus.scrape import ROOT, promtool
from smtpapi.telemetry import metrics as milter
from tracker_web.server import counts as tracker
from tracker_web.web import request_metrics as web

RULES = ROOT / "etc/prometheus/smtpapi-rules.yml"
SCRAPE = ROOT / "etc/prometheus/smtpapi-scrape.yml"
DASHBOARD = ROOT / "etc/grafana/smtpapi.json"
CASES = Path(__file__).with_name("smtpapi-rules.test.yml")
PAGE = ROOT / "docs/metrics.md"
PROGRAMS = {
    "milter": milter.METRICS,
    "tracker": tracker.METRICS,
    "shipper": shipper.METRICS,
    "follower": follower.METRICS,
    "web": web.METRICS,
    "webhooks": webhooks.METRICS,
}
METRICS = [metric for metrics in PROGRAMS.values() for metric in metrics]


def series() -> dict[str, Metric]:
    """What Prometheus stores, by the metric that it is of."""
    found: dict[str, Metric] = {}
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {metric.name + ending: metric for ending in endings}
    return found


def expressions() -> list[str]:
    """Those of the dashboard, with Grafana's own variables filled in."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "5m").replace("$instance", ".*") for text in found]


def used(text: str) -> set[str]:
    return set(re.findall(r"\bsmtpapi_\w+", text))


def run(*arguments: str | Path) -> None:
    done = subprocess.run(
        [promtool(), *map(str, arguments)], capture_output=True, text=True, check=False, cwd=CASES.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower()


def test_names_follow_prometheus() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"smtpapi_[a-z_]+", metric.name)
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        assert (metric.kind is not Kind.HISTOGRAM) or metric.name.endswith("_seconds")
        assert metric.help
        assert not metric.help.endswith(".")


def test_the_rules_are_valid() -> None:
    run("check", "rules", RULES)
    run("check", "config", SCRAPE)


def test_each_alert_comes_when_it_should_and_not_before() -> None:
    run("test", "rules", CASES)
    alerts = re.findall(r"^ +- alert: (\w+)$", RULES.read_text("utf-8"), re.MULTILINE)
    tested = re.findall(r"- \{ labels: '\{alertname=\"(\w+)\"\}', value: 1 \}", CASES.read_text("utf-8"))
    assert alerts == tested  # else a new alert is in no case


@pytest.mark.parametrize("path", [RULES, CASES, PAGE], ids=lambda path: path.name)
def test_only_metrics_that_there_are_are_named(path: Path) -> None:
    names = {metric.name for metric in METRICS}
    assert used(path.read_text("utf-8")) <= names | series().keys()


def test_the_dashboard_shows_every_metric_and_no_other(tmp_path: Path) -> None:
    shown = set().union(*map(used, expressions()))
    assert shown <= series().keys()
    assert {series()[name] for name in shown} == set(METRICS) - {milter.SESSIONS}
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    run("check", "rules", file)


def test_labels_that_are_selected_exist() -> None:
    texts = [*expressions(), RULES.read_text("utf-8")]
    common = {"instance", "job", "program", "le"}
    for name, inside in (found for text in texts for found in re.findall(r"(smtpapi_\w+)\{([^}]*)\}", text)):
        labels = set(re.findall(r"(\w+)=~?\"", inside))
        assert labels <= common | set(series()[name].labels), (name, inside)


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_jobs_are_those_of_the_sample_configuration() -> None:
    examples = {option.name: option.example for option in options_of(MetricsStanza)}
    jobs = re.findall(r'targets: \["([^"]+)"\]\n +labels: \{ program: (\w+) \}', SCRAPE.read_text("utf-8"))
    assert {program: address for address, program in jobs} == examples
    assert set(PROGRAMS) == set(examples)


def test_the_page_has_every_metric_with_its_type_labels_and_help() -> None:
    rows = re.findall(
        r"^\| `(smtpapi_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    documented = {(name, kind, labels, text) for name, kind, labels, text in rows}
    assert len(documented) == len(rows)
    assert documented == {
        (each.name, str(each.kind), ", ".join(f"`{label}`" for label in each.labels), each.help)
        for each in METRICS
    }


def lost(given: Any, read: Any, where: str = "") -> list[str]:
    """Members of a document that its reader does not know, or reads as something else."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [text for name in given for text in lost(given[name], read.get(name, ...), f"{where}/{name}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [text for one, other in zip(given, read, strict=True) for text in lost(one, other, where)]
    return [] if given == read else [where]


def test_the_dashboard_is_of_grafanas_own_schema() -> None:
    """Read and written by the library that Grafana makes from its schemas (10.1); nothing is lost."""
    given = json.loads(DASHBOARD.read_text("utf-8"))
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
    assert lost(given, read) == []
    broken = {**given, "panels": [{**given["panels"][0], "gridPoss": {"x": 1}}]}
    assert lost(broken, json.loads(JSONEncoder().encode(Dashboard.from_json(broken)))) == ["/panels/gridPoss"]
