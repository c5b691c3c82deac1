"""Wheels: our own and pymilter's, built here; those of others, fetched by the hashes of wheels.lock.

A wheel comes out as the same bytes each time: it is built from a copy of the tree in a folder whose path does
not get into it, and with one time for all files (SOURCE_DATE_EPOCH).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = Path(__file__).with_name("wheels.lock")
BACKEND: Final = Path(__file__).with_name("build.lock")
FROM_SOURCE: Final = ("pymilter", "dkimpy")  # there are no wheels of these on the index
_CACHE: Final = ROOT / "build/fetched"
EXTENSIONS: Final = 4  # parts in C, each of which setup.py lets fail where there is no compiler
# What would get into files, or into their order.
_ALIKE: Final = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}
_PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# What is not in a copy of the tree, where there is no repository to ask.
_LEFT_OUT: Final = shutil.ignore_patterns(".*", "*.so", "__pycache__", "build", "dist", "*.egg-info")


class BuildError(Exception):
    """A package cannot be made. The text says why, and what to do."""


def interpreters() -> dict[str, Path]:
    """Return the CPythons that can build here, by version ("3.11").

    They are those on PATH, else those unpacked below .test (.ci/python3.14), else those of pyenv.
    """
    listed = os.environ.get("PATH", "").split(os.pathsep)
    places = [Path(folder) for folder in listed if folder and not folder.endswith("/shims")]
    places += sorted(ROOT.glob(".test/python3.*/usr/bin"))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places += sorted((folder / "bin" for folder in pyenv.glob("3.*")), reverse=True)
    found: dict[str, Path] = {}
    for place in places:
        for path in sorted(place.glob("python3.*")):
            if re.fullmatch(r"python3\.1[1-9]", path.name) and path.name[6:] not in found and _builds(path):
                found[path.name[6:]] = path
    return found


def _builds(python: Path) -> bool:
    """Return whether an interpreter works, is CPython, and has the headers that an extension needs."""
    probe = (
        "import os, sys, sysconfig, venv;"
        "ok = sys.implementation.name == 'cpython' and f'python3.{sys.version_info[1]}' == sys.argv[1];"
        "sys.exit(not (ok and os.path.exists(sysconfig.get_path('include') + '/Python.h')))"
    )
    done = subprocess.run([python, "-c", probe, python.name], capture_output=True, check=False)
    return done.returncode == 0


def run(command: list[str | Path], *, where: Path | None = None, **variables: str) -> str:
    """Run a program and return what it printed. Raises BuildError, with what it said, where it fails."""
    environment = os.environ | _ALIKE | variables
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shown = " ".join(str(each) for each in command)
        raise BuildError(f"{shown}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def source_copy(to: Path) -> Path:
    """Put the tree into a folder, and return that: tracked and new files, not what was built."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        shutil.copytree(ROOT, to, ignore=_LEFT_OUT, symlinks=True)
        return to
    for name in filter(None, listed.stdout.decode().split("\0")):
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, to / name)
        (to / name).chmod(0o755 if os.access(ROOT / name, os.X_OK) else 0o644)
    return to


class Builder:
    """One interpreter with what builds a wheel, pinned, in an environment of its own below folder."""

    def __init__(self, python: Path, epoch: int, folder: Path) -> None:
        self._epoch = epoch
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        run([python, "-m", "venv", folder / "environment"])
        self._python = folder / "environment/bin/python"
        self._install([line for line in _lines(BACKEND) if line.partition("==")[0] not in FROM_SOURCE])

    def _install(self, pins: list[str]) -> None:
        (self._folder / "pins.txt").write_text("".join(pins))
        run(
            [self._python, "-m", "pip", "install", "-q", "--require-hashes", "-r", self._folder / "pins.txt"],
        )

    def own(self, out: Path) -> Path:
        """Build our own wheel; return its file. Raises BuildError."""
        source = source_copy(self._folder / "source")
        wheel = self._built(source, [source])
        count = run([sys.executable, "-m", "zipfile", "-l", wheel]).count(".so")
        if count != EXTENSIONS:
            raise BuildError(f"{wheel.name} has {count} of {EXTENSIONS} parts in C: is there a compiler?")
        return _repaired(wheel, self._epoch, out)

    def from_source(self, out: Path) -> list[Path]:
        """Build the wheels of others that publish none, pymilter's with libmilter in it; return their files.

        Raises BuildError.
        """
        made = []
        for line in _lines(BACKEND):
            name = line.partition("==")[0]
            if name in FROM_SOURCE:
                pin = self._folder / f"{name}.txt"
                pin.write_text(line)
                wheel = self._built(self._folder, ["--no-binary", name, "--require-hashes", "-r", pin])
                made.append(
                    _placed(wheel, out) if "-none-any" in wheel.name else _repaired(wheel, self._epoch, out)
                )
        return made

    def sdist(self, out: Path) -> Path:
        """Make the source distribution; return its file. Raises BuildError."""
        source = source_copy(self._folder / "sdist")
        call = "import setuptools.build_meta as b, sys; b.build_sdist(sys.argv[1])"
        run(
            [self._python, "-c", call, self._folder / "made"],
            where=source,
            SOURCE_DATE_EPOCH=str(self._epoch),
        )
        (made,) = (self._folder / "made").glob("*.tar.gz")
        out.mkdir(parents=True, exist_ok=True)
        return _same_times(made, self._epoch, out / made.name)

    def _built(self, source: Path, what: list[str | Path]) -> Path:
        """Build one wheel. The path of its source does not get into the compiled parts."""
        built = Path(tempfile.mkdtemp(dir=self._folder))
        run(
            [self._python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir",
             "-w", built, *what],
            SOURCE_DATE_EPOCH=str(self._epoch),
            CFLAGS=f"-g0 -ffile-prefix-map={source}=.",
            LDFLAGS="-Wl,--build-id=none",
        )  # fmt: skip
        (wheel,) = built.glob("*.whl")
        return wheel


def _lines(path: Path) -> list[str]:
    return [line + "\n" for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]


def _repaired(wheel: Path, epoch: int, out: Path) -> Path:
    """Let auditwheel put in what the wheel is linked with, and give it the tag of what it needs."""
    with tempfile.TemporaryDirectory() as folder:
        run(
            [sys.executable, "-m", "auditwheel", "repair", "-w", folder, wheel],
            SOURCE_DATE_EPOCH=str(epoch),
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        )
        (repaired,) = Path(folder).glob("*.whl")
        if "manylinux" not in repaired.name:
            raise BuildError(f"{repaired.name}: auditwheel gave it no tag that other systems take")
        return _placed(repaired, out)


def _placed(wheel: Path, out: Path) -> Path:
    """Put a file into a folder, and return it there."""
    out.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(wheel, out / wheel.name))


def _same_times(archive: Path, epoch: int, to: Path) -> Path:
    """Write a tar.gz anew with one time and owner and sorted names: setuptools takes the machine's."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(archive, folder)
        (top,) = Path(folder).iterdir()
        run(["sh", "-c",
             'tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r-w --mtime="@$1" -cf - '
             '"$2" | gzip -n9 >"$3"',
             "sh", str(epoch), top.name, to.resolve()], where=Path(folder))  # fmt: skip
    return to


def others(python: str, out: Path) -> list[Path]:
    """Fetch the wheels of others for a CPython, checked by hash; return their files. Raises BuildError.

    They are kept below build/, and taken from there the next time, by the same hashes.
    """
    out.mkdir(parents=True, exist_ok=True)
    cache = _CACHE / python
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    fetch: list[str | Path] = [
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--implementation", "cp", "--python-version", python, *platforms, "-r", LOCK,
    ]  # fmt: skip
    if cache.is_dir():
        with suppress(BuildError):  # the lock is newer than what was kept
            run([*fetch, "-d", out, "--no-index", "--find-links", cache])
            return sorted(out.glob("*.whl"))
    run([*fetch, "-d", out])
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(out, cache)
    return sorted(out.glob("*.whl"))
