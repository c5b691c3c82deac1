"""Make wheels, sdist, .deb and .rpm into dist/: `make packages`. Made twice, the bytes are the same.

With names (`python packaging/make_packages.py debian12`) only the packages of those systems. Made is what the
CPythons here allow; which were missing is said, and is no error unless it was asked for by name.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import tree
from targets import TARGETS, Target
from wheels import ROOT, Builder, BuildError, interpreters, others, run


def epoch() -> int:
    """Return the time that all files get: SOURCE_DATE_EPOCH, or else that of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    done = subprocess.run(
        ["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else 1_764_374_400


def make(target: Target, wheels: list[Path], when: int, out: Path, version: str = "") -> Path:
    """Make the package of one system from wheels; return its file. version: other than that of the program.

    Raises BuildError.
    """
    version = version or tree.version()
    with tempfile.TemporaryDirectory() as folder:
        description = Path(folder) / "nfpm.yaml"
        made = Path(folder) / "made"
        made.mkdir()
        held = tree.entries(target, wheels, version, when, made)
        description.write_text(json.dumps(tree.nfpm(target, held, version, when)))
        before = set(out.glob(f"*.{target.format}"))
        program = Path(sys.executable).with_name("nfpm")
        run(
            [program, "package", "-f", description, "-p", target.format, "-t", out],
            SOURCE_DATE_EPOCH=str(when),
        )
        (package,) = set(out.glob(f"*.{target.format}")) - before
    return package


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([target.name for target in TARGETS]))
@click.option(
    "--out", type=click.Path(path_type=Path), default=ROOT / "dist", help="The folder for what is made."
)
def main(names: tuple[str, ...], out: Path) -> None:
    """Make wheels, sdist and packages."""
    os.umask(0o022)  # modes of files get into wheels
    when, found = epoch(), interpreters()
    selected = [target for target in TARGETS if not names or target.name in names]
    missing = [target for target in selected if target.python not in found]
    if names and missing:
        raise click.ClickException(f"no CPython {missing[0].python} with headers here, for {missing[0].name}")
    out.mkdir(parents=True, exist_ok=True)
    try:
        _make_all([target for target in selected if target not in missing], found, when, out)
    except BuildError as error:
        raise click.ClickException(str(error)) from error
    for target in missing:
        click.echo(
            f"left out: {target.name}, since no CPython {target.python} with headers is here", err=True
        )


def _make_all(targets: list[Target], found: dict[str, Path], when: int, out: Path) -> None:
    """Make the wheels of each CPython once, and the packages from them. Raises BuildError."""
    for number, python in enumerate(sorted({target.python for target in targets})):
        with tempfile.TemporaryDirectory() as folder:
            builder = Builder(found[python], when, Path(folder) / "build")
            if number == 0:
                click.echo(builder.sdist(out))
            ours = [builder.own(out / "wheels"), *builder.from_source(out / "wheels")]
            for wheel in ours:
                click.echo(wheel)
            fetched = others(python, Path(folder) / "wheels")
            for target in targets:
                if target.python == python:
                    for old in out.glob(f"*{target.suffix}*.{target.format}"):
                        old.unlink()
                    click.echo(make(target, sorted([*ours, *fetched], key=lambda path: path.name), when, out))


if __name__ == "__main__":
    main()
