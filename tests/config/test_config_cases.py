"""One folder a configuration: what a good one means, what a broken one dies of.

good/NN-what/: smtpapi.conf, a README that says why, and expect.json: for each connection the values that are
not built-in defaults, with scope and place; the stanzas' options that the file sets; warnings; notices.
broken/NN-what/: smtpapi.conf, README, and error: the whole text it dies of.

`python tests/config/test_config_cases.py` writes expect.json and error anew; read the difference before
committing it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engagement.settings import Settings, SettingsError, Where, load_file
from engagement.settings.option import options_of
from engagement.settings.schema import SCOPED, STANZAS
from engagement.settings.scopes import DEFAULT_SCOPE, listen_of
from engagement.settings.syntax import parse
from engagement.settings.syntax_tree import lines

HERE = Path(__file__).parent
GOOD = sorted(each for each in (HERE / "good").iterdir() if each.is_dir())
COMMON = ("enabled", "debug_level")  # of every module of Momentum
BROKEN = sorted(each for each in (HERE / "broken").iterdir() if each.is_dir())


@contextmanager
def inside(folder: Path) -> Iterator[Path]:
    """The case's main file, as a path relative to its folder, so that messages are the same everywhere."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        main = Path("smtpapi.conf")
        yield main if main.exists() else Path("etc/conf/default/smtpapi.conf")
    finally:
        os.chdir(before)


def where(connection: dict[str, str]) -> Where:
    local = connection.get("local", "")
    listen = listen_of(local) if local else None
    return Where(
        str(listen.address) if listen else "",
        listen.port if listen else None,
        connection.get("client", ""),
        connection.get("pathway", ""),
    )


def as_json(value: object) -> object:
    return json.loads(
        json.dumps(value, default=lambda found: dict(found) if hasattr(found, "items") else str(found))
    )


def described(settings: Settings, connections: list[dict[str, str]]) -> dict[str, Any]:
    """What expect.json says of a configuration."""
    met = []
    for connection in connections:
        scoped = settings.scoped(where(connection))
        values = {
            name: [as_json(scoped.value(name).value), scoped.value(name).scope, f"{value.file}:{value.line}"]
            for name in SCOPED
            if (value := scoped.value(name)).scope != DEFAULT_SCOPE
        }
        met.append({"connection": connection, "pathway": scoped.pathway, "values": values})
    return {
        "active": settings.active,
        "connections": met,
        "stanzas": {
            f"{stanza}.{option}": [
                as_json(getattr(getattr(settings, stanza), option)),
                f"{value.file}:{value.line}",
            ]
            for (stanza, option), value in settings.origins.items()
        },
        "tracking_domains": sorted(settings.tracking_domains()),
        "warnings": list(settings.warnings),
        "notices": list(settings.notices),
    }


def reported_error(folder: Path) -> str:
    with inside(folder) as main:
        try:
            load_file(main)
        except SettingsError as error:
            return f"{error}\n"
    return "it loads\n"


@pytest.mark.parametrize("folder", GOOD, ids=lambda folder: folder.name)
def test_good_configuration_means_what_is_expected(folder: Path) -> None:
    expected = json.loads((folder / "expect.json").read_text("utf-8"))
    with inside(folder) as main:
        settings = load_file(main)
    connections = [each["connection"] for each in expected["connections"]]
    assert described(settings, connections) == expected


@pytest.mark.parametrize("folder", BROKEN, ids=lambda folder: folder.name)
def test_broken_configuration_dies_of_its_error(folder: Path) -> None:
    assert reported_error(folder) == (folder / "error").read_text("utf-8")


@pytest.mark.parametrize("folder", [*GOOD, *BROKEN], ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_each_case_says_in_one_line_why_it_is_there(folder: Path) -> None:
    assert (folder / "README").read_text("utf-8").count("\n") == 1


@pytest.mark.parametrize("folder", GOOD, ids=lambda folder: folder.name)
def test_printed_tree_reads_as_the_same_tree(folder: Path) -> None:
    for path in folder.rglob("[!.]*.conf"):
        if "never" not in path.name:
            items = parse(path.read_bytes().decode("utf-8", "replace"), path.name).items
            assert parse("\n".join(lines(items)), path.name).items == items


def test_every_option_is_set_by_some_good_case() -> None:
    set_somewhere: set[str] = set()
    for folder in GOOD:
        expected = json.loads((folder / "expect.json").read_text("utf-8"))
        set_somewhere |= set(expected["stanzas"])
        for connection in expected["connections"]:
            set_somewhere |= set(connection["values"])
    assert set(SCOPED) - set_somewhere == set()
    declared = {f"{name}.{option.name}" for name, stanza in STANZAS.items() for option in options_of(stanza)}
    common = {f"{name}.{option}" for name in ("cassandra_client", "engagement_tracker") for option in COMMON}
    assert declared - set_somewhere - common == set()


def _write_anew() -> None:
    for folder in GOOD:
        path = folder / "expect.json"
        connections = [each["connection"] for each in json.loads(path.read_text("utf-8"))["connections"]]
        with inside(folder) as main:
            found = described(load_file(main), connections)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for folder in BROKEN:
        (folder / "error").write_text(reported_error(folder), "utf-8")


if __name__ == "__main__":
    _write_anew()
