"""`smtpapi webhook` and `smtpapi webhooks`, as a person uses them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engagement.webhooks.sending.metrics import METRICS
from prometheus.scrape import judge, scraped
from prometheus.scrape import until as shown_until
from smtpapi.commands import main
from unit.event_samples import hit
from webhooks.sites import TIMEOUT, Endpoint, endpoint, site


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    path.write_text(
        f'store {{ path = "{tmp_path}/events.db" }} registry {{ path = "{tmp_path}/registry.db" }}\n'
        'webhooks { allow_targets = ("127.0.0.1") batch_time = 0 }\n'
        f'metrics {{ webhooks = "unix:{tmp_path}/metrics" }}\n'
    )
    return path


@pytest.fixture
def hook() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def run(config: Path, *arguments: str, keys: str = "") -> Result:
    command, *rest = arguments
    return CliRunner().invoke(main, ["webhook", command, "--config", str(config), *rest], input=keys)


def test_a_webhook_is_added_shown_paused_tested_and_removed(config: Path, hook: Endpoint) -> None:
    with site(config.parent):
        pass  # the shipper has made the store
    more = ("--events", "click,open", "--user", "ida", "--header", "X-A: 1", "--sign")
    added = run(config, "add", "shop", hook.url, *more, keys="secret\n")
    assert added.exit_code == 0, added.output
    webhook = next(line for line in added.output.splitlines() if line.count("-") == 4)
    assert "signed with whsec_" in added.output
    assert hook.requests[0].headers["X-A"] == "1"
    assert hook.requests[0].headers["Authorization"].startswith("Basic ")
    assert run(config, "list").output.split()[:3] == [webhook, "active", "shop"]
    shown = run(config, "show", webhook).output
    assert "secret" not in shown.replace("x_signing_secrets", "")
    assert "whsec_" not in shown
    assert run(config, "pause", webhook).exit_code == 0
    assert "paused" in run(config, "list").output
    assert "status 200" in run(config, "test", webhook).output
    assert "active" in run(config, "list").output
    assert run(config, "resume", webhook, "--skip").exit_code == 0
    assert run(config, "show", webhook, "--batches").exit_code == 0
    assert "0 batch(es)" in run(config, "replay", webhook, "--from", "2026-01-01").output
    assert run(config, "remove", webhook).exit_code == 0
    assert run(config, "list").output == ""


def test_momentums_file_is_a_seed(config: Path, hook: Endpoint, tmp_path: Path) -> None:
    """contract.md 8.2, "file form"."""
    file = tmp_path / "webhooks.json"
    file.write_text(
        f'[{{"name": "a", "events": ["click"], "target": "{hook.url}", "auth_token": "tok"}}, '
        f'{{"events": ["open", "ad_status"], "target": "{hook.url}", "custom_headers": {{"X-A": "1"}}}}]'
    )
    done = run(config, "import", str(file))
    assert (done.exit_code, done.output.count(hook.url)) == (0, 2)
    assert hook.requests[0].headers["X-MessageSystems-Webhook-Token"] == "tok"
    assert "webhook 2" in run(config, "list").output
    file.write_text("{}")
    assert run(config, "import", str(file)).exit_code == 2


def test_what_goes_wrong_is_said_in_one_line(config: Path, hook: Endpoint) -> None:
    refused = run(config, "add", "n", "http://10.0.0.1/", "--events", "all")
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "inside the network" in refused.output
    hook.asks_ping, hook.answer = True, lambda path, body: (404, {}, b"no such\npage")
    failed = run(config, "add", "n", hook.url, "--events", "all")
    assert failed.output == "POST to webhook target URL failed: 404 no such page\n"
    assert "webhook not found" in run(config, "show", "x").output
    assert run(config, "replay", "x").exit_code == 1


def test_the_program_tells_systemd_when_it_is_ready_and_ends_in_order(config: Path, hook: Endpoint) -> None:
    with site(config.parent) as here, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        here.create(hook.url)
        here.add(hit())
        notices.bind(str(config.parent / "notify"))
        notices.settimeout(TIMEOUT)
        program = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from smtpapi.commands import main; main()",
                "webhooks",
                "--config",
                str(config),
            ],
            env=os.environ | {"NOTIFY_SOCKET": str(config.parent / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            assert notices.recv(100) == b"READY=1"
            hook.wait(lambda found: len(found) == 1)
            address = f"unix:{config.parent}/metrics"
            found = shown_until(address, lambda now: now["smtpapi_webhooks_events_total"] == 1)
            assert found['smtpapi_webhooks_tries_total{result="delivered"}'] == 1
            assert found['smtpapi_webhooks_targets{state="healthy"}'] == 1
            judge(scraped(address), METRICS)
        finally:
            program.send_signal(signal.SIGTERM)
            assert program.wait(TIMEOUT) == 0
        assert notices.recv(100) == b"STOPPING=1"
        assert here.documents.registry.find("webhook_sender") == ()


def test_without_the_library_the_program_says_what_to_install(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("engagement.webhooks.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ["urllib3", *(name for name in sys.modules if name.startswith("urllib3."))]:
        monkeypatch.setitem(sys.modules, name, None)
    done = run(config, "list")
    assert done.exit_code == 2
    assert "pip install 'smtpapi-engagement[webhooks]'" in done.output
