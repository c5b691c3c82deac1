"""The program `smtpapi web` behind a proxy with TLS, as SparkPost's clients meet it: they take https alone.

Mail goes to an SMTP server that keeps it. The clients are programs of their own beside this module.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engagement.access.keys import ApiKeys
from engagement.registry import open_registry
from engagement.settings import load_file
from engagement.settings.settings import Settings
from mta.smtp_sink import Sink
from web.servers import ROOT, Site, free_port, make_site, running, stop, wait_for_port, web
from webhooks.sites import Endpoint, endpoint

HERE: Final = Path(__file__).resolve().parent
NODE: Final = ROOT / ".test/sparkpost_node"
GO: Final = ROOT / ".test/sparkpost_go/sparkpost_go"
_SECONDS: Final = 120  # for all calls of one client, on a busy machine

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
{user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 21m;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            proxy_pass http://127.0.0.1:{web};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"""


@dataclass
class Place:
    """What clients need to know. base: where the API is, without its path; hook: a target of webhooks."""

    folder: Path
    settings: Settings
    base: str
    key: str
    hook: Endpoint

    @property
    def ca(self) -> Path:
        return self.folder / "cert.pem"

    def run(self, command: list[str], **more: str) -> dict[str, Any]:
        """Let a client make its calls; return what it tells of each. more: what it is asked besides."""
        request = {"base": self.base, "key": self.key, "ca": str(self.ca), "target": self.hook.url} | more
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, check=False, timeout=_SECONDS,
            env=os.environ | {"REQUESTS_CA_BUNDLE": str(self.ca), "NODE_EXTRA_CA_CERTS": str(self.ca)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        results: dict[str, Any] = json.loads(done.stdout)
        return results


@dataclass
class ClientSite(Place):
    """`smtpapi web` alone, and what the SMTP server behind it got."""

    site: Site
    sink: Sink


def commands() -> dict[str, list[str]]:
    """The clients that can run here, by name; what is missing, and how it is installed, is said."""
    found = {
        "python": [sys.executable, str(HERE / "python_client.py")],
        "anymail": [sys.executable, str(HERE / "anymail_backend.py")],
    }
    if shutil.which("node") and (NODE / "node_modules").is_dir():
        found["node"] = ["node", str(HERE / "node_client/calls.cjs"), str(NODE)]
    if GO.exists():
        found["go"] = [str(GO)]
    return found


@contextmanager
def client_site(folder: Path, store: str = "") -> Iterator[ClientSite]:
    """Start the program and what is around it. store: the settings of another store than the file."""
    mail = free_port()
    more = f"""registry {{ path = "{folder}/registry.db" }}
transmissions {{ enabled = true relay = "127.0.0.1:{mail}" }}
webhooks {{ allow_targets = ("127.0.0.1") }}
{store}"""
    site = make_site(folder, more=more)
    if store:
        text = site.config.read_text().replace("store {", "store { engine = cassandra", 1)
        site.config.write_text(text)
    settings = load_file(site.config)
    registry = open_registry(settings)
    key = ApiKeys(registry).add("clients", ("all",))
    with ExitStack() as stack:
        sink = stack.enter_context(Sink(mail))
        hook = stack.enter_context(endpoint())
        stack.enter_context(running(site, web))
        base = stack.enter_context(with_tls(folder, site.web))
        yield ClientSite(folder, settings, base, key, hook, site, sink)


@contextmanager
def with_tls(folder: Path, port: int) -> Iterator[str]:
    """Have a proxy with TLS before a port of loopback; yield its base URL. cert.pem is its certificate."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        pytest.fail("nginx is not installed: .ci/system test, or apt-get install nginx-light")
    own = free_port()
    _certificate(folder)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=own, web=port, user=user))
    proxy = subprocess.Popen([nginx, "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        wait_for_port(own, proxy)
        yield f"https://localhost:{own}"
    finally:
        stop(proxy)


def _certificate(folder: Path) -> None:
    """Write cert.pem and key.pem for localhost; the certificate is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]  # fmt: skip
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
