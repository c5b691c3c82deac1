"""What a package holds: the files that are made here, put below a folder, and the list of all of them.

nfpm makes the package from that list; this module does not call it.
"""

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final

from click.shell_completion import get_completion_class
from targets import Target
from wheels import LOCK, ROOT, run

HERE: Final = Path(__file__).parent
_SHELLS: Final = {
    "bash": "usr/share/bash-completion/completions/smtpapi",
    "zsh": "usr/share/zsh/vendor-completions/_smtpapi",
    "fish": "usr/share/fish/vendor_completions.d/smtpapi.fish",
}
_RPM_SHELLS: Final = _SHELLS | {"zsh": "usr/share/zsh/site-functions/_smtpapi"}
_SAMPLES: Final = ("nginx", "postfix", "sendmail", "policy", "classify", "prometheus", "grafana")
_MAINTAINER: Final = "The smtpapi developers <packages@smtpapi.invalid>"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder ("dir") or link of a package.

    path: without the first /. source: a file, or where a link leads.
    """

    path: str
    kind: str = ""
    source: str = ""
    mode: int = 0o644


def version() -> str:
    """Return the version of the program."""
    found = re.search(r"^version = (\S+)$", (ROOT / "setup.cfg").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def entries(target: Target, wheels: list[Path], version: str, epoch: int, made: Path) -> list[Entry]:
    """Return all that a package holds, sorted by path. made: an empty folder for what is made for it."""
    found = [
        *_programs(target, wheels, made),
        *_configuration(),
        *_units(made),
        *_manual(version, made),
        *_completion(target, made),
        *_documentation(target, version, epoch, made),
        *_samples(made),
    ]
    return sorted(found, key=lambda entry: entry.path)


def _programs(target: Target, wheels: list[Path], made: Path) -> Iterator[Entry]:
    for wheel in wheels:
        yield Entry(f"usr/share/smtpapi/wheels/{wheel.name}", source=str(wheel))
    install = (
        (HERE / "package-steps").read_text("utf-8").replace("@PYTHON@", f"/usr/bin/python{target.python}")
    )
    yield Entry("usr/lib/smtpapi/package-steps", source=_put(made / "package-steps", install), mode=0o755)
    yield Entry("usr/bin/smtpapi", "symlink", "../lib/smtpapi/current/bin/smtpapi")


def _configuration() -> Iterator[Entry]:
    yield Entry("etc/smtpapi", "dir", mode=0o755)
    yield Entry("etc/smtpapi/conf.d", "dir", mode=0o755)
    yield Entry("etc/smtpapi/smtpapi.conf", "config|noreplace", str(HERE / "smtpapi.conf"))
    yield Entry(
        "etc/smtpapi/conf.d/10-tracking.conf", "config|noreplace", str(HERE / "conf.d/10-tracking.conf")
    )


def _standby(name: str) -> str:
    """Return the unit of a second copy of a service, which runs while an upgrade restarts the first one."""
    text = (ROOT / f"etc/systemd/smtpapi-{name}.service").read_text("utf-8").partition("\n[Install]")[0]
    text = re.sub(r"(?m)^(Description=.*)$", r"\1, during an upgrade", text)
    return re.sub(r"(?m)^(PartOf|After|Before|Restart)=.*\n", "", text)


def _units(made: Path) -> Iterator[Entry]:
    for name in ("milter", "tracker"):
        standby = f"smtpapi-{name}-standby.service"
        yield Entry(f"usr/lib/systemd/system/{standby}", source=_put(made / standby, _standby(name)))
    for unit in sorted((ROOT / "etc/systemd").glob("smtpapi*.*")):
        yield Entry(f"usr/lib/systemd/system/{unit.name}", source=str(unit))
    yield Entry("usr/lib/sysusers.d/smtpapi.conf", source=str(HERE / "sysusers.d/smtpapi.conf"))
    yield Entry("usr/lib/tmpfiles.d/smtpapi.conf", source=str(HERE / "tmpfiles.d/smtpapi.conf"))


def _manual(version: str, made: Path) -> Iterator[Entry]:
    folder = made / "man"
    run([sys.executable, "-m", "smtpapi.commands.configuration.manual", folder, version])
    for page in sorted(folder.iterdir()):
        packed = made / f"{page.name}.gz"
        packed.write_bytes(gzip.compress(page.read_bytes(), 9, mtime=0))
        yield Entry(f"usr/share/man/man{page.suffix[1:]}/{packed.name}", source=str(packed))


def _completion(target: Target, made: Path) -> Iterator[Entry]:
    from smtpapi.commands import main

    for shell, path in (_RPM_SHELLS if target.format == "rpm" else _SHELLS).items():
        kind = get_completion_class(shell)
        assert kind is not None
        writer = kind(main, {}, "smtpapi", "_SMTPAPI_COMPLETE")
        text = writer.source_template % writer.source_vars()
        yield Entry(path, source=_put(made / f"completion.{shell}", text.strip() + "\n"))


def _documentation(target: Target, version: str, epoch: int, made: Path) -> Iterator[Entry]:
    doc = "usr/share/doc/smtpapi"
    for page in sorted((ROOT / "docs").rglob("*.md")):
        yield Entry(f"{doc}/{page.relative_to(ROOT)}", source=str(page))
    for name in ("README.md", "SECURITY.md", "LICENSE"):
        if not (name == "LICENSE" and target.format == "deb"):
            yield Entry(f"{doc}/{name}", source=str(ROOT / name))
    yield Entry(
        f"{doc}/NEWS.md.gz", source=_zipped(made / "NEWS.md.gz", (ROOT / "CHANGELOG.md").read_bytes())
    )
    if target.format == "deb":
        yield Entry(f"{doc}/copyright", source=str(HERE / "debian/copyright"))
        log = (
            f"smtpapi ({version}{target.suffix}) stable; urgency=medium\n\n"
            f"  * What is new: /{doc}/NEWS.md.gz\n\n -- {_MAINTAINER}  {formatdate(epoch)}\n"
        )
        yield Entry(f"{doc}/changelog.gz", source=_zipped(made / "changelog.gz", log.encode()))
        yield Entry("usr/share/lintian/overrides/smtpapi", source=str(HERE / "debian/lintian-overrides"))


def _samples(made: Path) -> Iterator[Entry]:
    nginx = (ROOT / "etc/nginx/smtpapi.conf").read_text("utf-8")
    with_tls = re.sub(r"(?m)^    # (listen \S+ ssl;|ssl_certificate)", r"    \1", nginx)
    yield Entry("usr/share/smtpapi/nginx/smtpapi-tls.conf", source=_put(made / "smtpapi-tls.conf", with_tls))
    yield Entry("usr/share/smtpapi/smtpapi.conf.sample", source=str(ROOT / "etc/smtpapi.conf"))
    yield Entry("usr/share/smtpapi/wheels.lock", source=str(LOCK))
    yield Entry("usr/share/smtpapi/newsletter.eml", source=str(ROOT / "demo/newsletter.eml"))
    yield Entry("usr/share/smtpapi/systemd/metrics.conf", source=str(ROOT / "etc/systemd/metrics.conf"))
    for folder in _SAMPLES:
        for sample in sorted((ROOT / "etc" / folder).iterdir()):
            if sample.is_file():
                yield Entry(f"usr/share/smtpapi/{folder}/{sample.name}", source=str(sample))


def _put(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def _zipped(path: Path, content: bytes) -> str:
    path.write_bytes(gzip.compress(content, 9, mtime=0))
    return str(path)


def nfpm(target: Target, held: list[Entry], version: str, epoch: int) -> dict[str, object]:
    """Return what nfpm reads: JSON, which is YAML as well."""
    moment = formatdate(epoch, usegmt=True)
    rfc3339 = subprocess.run(
        ["date", "-u", "-d", moment, "+%Y-%m-%dT%H:%M:%SZ"], capture_output=True, text=True, check=True
    ).stdout.strip()
    contents = [
        {
            "dst": f"/{entry.path}",
            **({"type": entry.kind} if entry.kind else {}),
            **({"src": entry.source} if entry.source else {}),
            "file_info": {"owner": "root", "group": "root", "mtime": rfc3339}
            | ({} if entry.kind == "symlink" else {"mode": entry.mode}),
        }
        for entry in held
    ]
    made: dict[str, object] = {
        "name": "smtpapi",
        "arch": "amd64",
        "platform": "linux",
        "version": version,
        "version_schema": "none",
        "section": "mail",
        "priority": "optional",
        "maintainer": _MAINTAINER,
        "description": "click and open tracking for Postfix and Sendmail\n" + _DESCRIPTION,
        "license": "GPL-3.0-or-later",
        "mtime": rfc3339,
        "umask": 0o022,
        "depends": list(target.depends),
        "contents": contents,
    }
    scripts = HERE / "scripts"
    if target.format == "deb":
        made |= {
            "version": f"{version}{target.suffix}",
            "recommends": ["postfix | sendmail-bin", "nginx | httpd"],
            "suggests": ["certbot", "opendkim"],
            "scripts": {
                name: str(scripts / f"deb.{name}") for name in ("postinstall", "preremove", "postremove")
            },
            "deb": {
                "compression": "gzip",
                "scripts": {"templates": str(HERE / "debian/templates")},
                "triggers": {"interest_noawait": ["/usr/sbin/postfix"]},
            },
        }
    else:
        made |= {
            "release": f"1.{target.suffix}",
            "recommends": ["postfix", "nginx"],
            "scripts": {
                name: str(scripts / f"rpm.{name}") for name in ("postinstall", "preremove", "postremove")
            },
            "rpm": {"summary": "click and open tracking for Postfix and Sendmail", "compression": "gzip",
                    "buildhost": "localhost", "group": "System Environment/Daemons"},
        }  # fmt: skip
    return made


_DESCRIPTION: Final = """\
A milter gives every recipient of outgoing mail links and pixels of their own,
as the X-MSYS-API header of SparkPost and Momentum asks for it; a web tracker
answers them and keeps what happened; a shipper carries that to SQLite or
Cassandra. All other mail passes byte for byte."""
