"""The proxy before the tracker: etc/nginx/smtpapi.conf with this site's names, address, certificate."""

import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from smtpapi.setup import samples


def configured(
    names: tuple[str, ...], listen: str, certificate: tuple[Path, Path] | None, version: tuple[int, ...]
) -> str:
    """Return the file. certificate: chain and key, None for port 80 alone. version: of nginx."""
    text = samples.text("nginx.conf").replace("server 127.0.0.1:8080 ", f"server {listen} ")
    text = text.replace("server_name track.example.com;", f"server_name {' '.join(names)};", 1)
    if certificate is None:
        return text
    chain, key = certificate
    combined = version < (1, 25, 1)  # since then http2 is a directive of its own
    tls = "ssl http2" if combined else "ssl"
    text = re.sub(r"(?m)^    # (listen (?:\[::\]:)?443) ssl;", rf"    \1 {tls};", text)
    text = re.sub(r"(?m)^    # (http2 on;).*\n", "" if combined else r"    \1\n", text)
    text = re.sub(r"(?m)^    # (ssl_certificate) .*", rf"    \1     {chain};", text)
    return re.sub(r"(?m)^    # (ssl_certificate_key) .*", rf"    \1 {key};", text)


def version_of(program: str) -> tuple[int, ...]:
    """Return the version of an nginx, () where it cannot be asked."""
    try:
        done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - the operator's own
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", done.stderr + done.stdout)
    return tuple(int(number) for number in found.groups()) if found else ()


def complaint(program: str, main_file: Path) -> str:
    """Return what nginx has against its configuration, "" for nothing."""
    command = [program, "-t", "-q", "-c", str(main_file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - see above
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program}: {error}"
    return "" if done.returncode == 0 else done.stderr.strip() or f"{program} -t failed"


def reload(program: str, main_file: Path) -> str:
    """Let a running nginx read its configuration anew; return what happened, in words."""
    command = [program, "-q", "-c", str(main_file), "-s", "reload"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - see above
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nginx was not reloaded: {error}"
    if done.returncode == 0:
        return "nginx reloaded"
    return "nginx does not run: it takes the change when it starts"


def certificate_of(names: tuple[str, ...], folder: Path) -> tuple[Path, Path] | None:
    """Return the certificate that certbot keeps for the first of these names that has one, and its key."""
    for name in names:
        chain, key = folder / name / "fullchain.pem", folder / name / "privkey.pem"
        if chain.exists() and key.exists():
            return chain, key
    return None


def not_named(chain: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of these names that a certificate is not for.

    Raises OSError, ValueError for no certificate.
    """
    certificate = x509.load_pem_x509_certificate(chain.read_bytes())
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return names
    known = {name.lower() for name in found.value.get_values_for_type(x509.DNSName)}
    return tuple(name for name in names if name not in known and f"*.{name.partition('.')[2]}" not in known)


def uncertified(names: tuple[str, ...], chains: Iterable[Path]) -> tuple[str, ...]:
    """Return those of these names that no certificate is for. One that cannot be read is for none."""
    left = names
    for chain in chains:
        with suppress(OSError, ValueError):
            left = not_named(chain, left)
    return left
