"""The files of `etc/` that setup puts in place. In the package they are data, in the repository links."""

from collections.abc import Iterator
from importlib.resources import files


def text(name: str) -> str:
    """Return one of them: master.cf.hop, smtpapi_hop, nginx.conf, smtpapi.mc."""
    return (files("smtpapi.setup") / "samples" / name).read_text("utf-8")


def entries(sample: str) -> Iterator[str]:
    """Yield the entries of main.cf or master.cf as one line each, without comments (postconf(5))."""
    entry = ""
    for line in sample.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            entry += " " + line.strip()
            continue
        if entry:
            yield entry
        entry = line.strip()
    if entry:
        yield entry
