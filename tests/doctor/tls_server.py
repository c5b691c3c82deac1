"""Certificates of every kind, and servers that show them; for tests."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass
class Issuer:
    """An authority of a test. chain: what a server sends besides its own certificate."""

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def pem(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _name(organization: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])


def _built(
    subject: str, issuer: x509.Name, key: Key, signer: Key, days: tuple[float, float], hosts: tuple[str, ...]
) -> x509.Certificate:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
    )
    if hosts:
        made = made.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), critical=False
        )
    return made.sign(signer, hashes.SHA256())


def authority(name: str, above: Issuer | None = None) -> Issuer:
    """A root, or an authority below another."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = _name(name) if above is None else above.certificate.subject
    made = _built(name, issuer, key, key if above is None else above.key, (-1, 3650), ())
    return Issuer(key, made, () if above is None else (made, *above.chain))


def server_files(
    folder: Path,
    issuer: Issuer | None,
    host: str,
    days: tuple[float, float] = (-30, 60),
    *,
    chain: bool = True,
) -> tuple[Path, Path]:
    """A certificate and its key. issuer: None signs it by itself. chain: whether the issuer's is sent too."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, name = (key, _name("itself")) if issuer is None else (issuer.key, issuer.certificate.subject)
    made = _built("itself" if issuer is None else host, name, key, signer, days, (host,))
    certificates = (made, *(issuer.chain if issuer is not None and chain else ()))
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


@contextmanager
def serving(files: tuple[Path, Path], hsts: str = "") -> Iterator[int]:
    """A server with TLS on loopback; gives its port. hsts: its Strict-Transport-Security."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            if hsts:
                self.send_header("Strict-Transport-Security", hsts)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # clients that refuse the certificate hang up

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
