"""OpenDKIM as a milter, keys for it, and a DNS that has them."""

import base64
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mta.mta_site import until

_PROGRAM = "/usr/sbin/opendkim"


class Keys:
    """RSA keys by selector, and the DNS that has their public halves."""

    def __init__(self) -> None:
        self._records: dict[bytes, bytes] = {}

    def make(self, selector: str, domain: str) -> bytes:
        """The private key in PEM."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
        self._records[f"{selector}._domainkey.{domain}.".encode()] = record
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    def lookup(self, name: bytes | str, timeout: int = 5) -> bytes | None:
        return self._records.get(name if isinstance(name, bytes) else name.encode())

    def selectors(self, mail: bytes) -> list[str]:
        """Selectors of all signatures, each of which must verify."""
        verifier = dkim.DKIM(mail)
        found = []
        for number, value in enumerate(
            v for name, v in verifier.headers if name.lower() == b"dkim-signature"
        ):
            assert verifier.verify(idx=number, dnsfunc=self.lookup), value
            selector = re.search(rb"\bs=([^;\s]+)", value)
            assert selector is not None
            found.append(selector[1].decode())
        return found


@contextmanager
def signing(folder: Path, keys: Keys, socket: Path, more: str = "") -> Iterator[None]:
    """Sign all mail of sender.test that comes by the socket. more: lines of opendkim.conf."""
    if shutil.which(_PROGRAM) is None:
        pytest.fail("OpenDKIM is needed: apt-get install opendkim (make system does it)")
    key = folder / "key.pem"
    key.write_bytes(keys.make("site", "sender.test"))
    key.chmod(0o600)
    (folder / "opendkim.conf").write_text(
        f"Socket local:{socket}\nDomain sender.test\nSelector site\nKeyFile {key}\nMode s\n"
        "Canonicalization relaxed/simple\nOversignHeaders From\nRequireSafeKeys no\nUMask 0000\n"
        f"Background no\nSyslog no\n{more}\n"
    )
    signer = subprocess.Popen([_PROGRAM, "-f", "-x", str(folder / "opendkim.conf")])
    try:
        until(socket.exists, 10, "OpenDKIM")
        yield
    finally:
        signer.kill()  # it would first wait out its listener's five seconds
        signer.wait(20)
