"""Keys for DKIM and a DNS that has them."""

import base64
import re

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


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
