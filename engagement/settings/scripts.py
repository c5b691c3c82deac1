"""Read the stanzas `scriptlet` and `datasource`, scopes with names in Momentum (docs/policy-lua.md).

Not the scripts themselves (`smtpapi.policy`). Everything wrong is added to the problems of the reader.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from engagement.settings.errors import Problem
from engagement.settings.files import FileReader
from engagement.settings.momentum.losses import Loss
from engagement.settings.option_types.scalars import truth_of
from engagement.settings.schema.scripts import Datasource, PolicyScript
from engagement.settings.syntax_tree import AssignNode, Item, ScopeNode, TextListNode, TextNode

STANZAS = frozenset({"scriptlet", "datasource"})

_NUMBERS = ("cache_life", "cache_size", "max_rows")
_URI = 'uri = ("sqlite:/path/of/the/file")'
_NOTHING: Mapping[str, Datasource] = MappingProxyType({})


class Scripted(NamedTuple):
    """The scripts in their order, the datasources by name, and what has no effect here.

    losses: the datasources that cannot be asked here.
    """

    scripts: tuple[PolicyScript, ...] = ()
    sources: Mapping[str, Datasource] = _NOTHING
    notices: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()


def read(items: Iterable[Item], reader: FileReader) -> Scripted:
    """Return what the stanzas at the top of a configuration declare."""
    return _Stanzas(reader).read(items)


class _Stanzas:
    def __init__(self, reader: FileReader) -> None:
        self._reader = reader
        self._scripts: dict[str, PolicyScript] = {}
        self._sources: dict[str, Datasource] = {}
        self._notices: list[str] = []
        self._losses: list[Loss] = []
        self._instance: str | None = None
        self._off: AssignNode | None = None  # the line that switches Momentum's module off

    def read(self, items: Iterable[Item]) -> Scripted:
        for item in items:
            if isinstance(item, ScopeNode) and item.name.lower() == "scriptlet":
                self._scriptlet(item)
            elif isinstance(item, ScopeNode) and item.name.lower() == "datasource":
                self._datasource(item)
        if self._off is not None:
            what = f"{self._off.name} = false in scriptlet {{ }}: its scripts are not run"
            self._notices.append(f"{self._off.place}: {what}")
            self._scripts.clear()
        return Scripted(
            tuple(self._scripts.values()),
            MappingProxyType(self._sources),
            tuple(self._notices),
            tuple(self._losses),
        )

    def _problem(self, item: Item | TextNode, what: str, expected: str) -> None:
        self._reader.problems.append(Problem(item.place, what, expected))

    def _scriptlet(self, item: ScopeNode) -> None:
        instance = item.instance.text if item.instance else ""
        if self._instance is None:
            self._instance = instance
        elif instance != self._instance:
            what = f"a second scriptlet stanza with another name, '{instance}'"
            self._problem(item, what, f'scriptlet "{self._instance}" {{ … }}')
        for each in item.items:
            if isinstance(each, AssignNode):
                self._module_option(each)
            if not isinstance(each, ScopeNode) or each.name.lower() != "script":
                continue
            name = each.instance.text if each.instance else ""
            if not name:
                self._problem(each, "script without a name", 'script "NAME" { source = "PATH" }')
                continue
            source = _option(each, "source")
            if not isinstance(source, TextNode) or not source.text:
                self._problem(each, f"script '{name}' without a source", 'source = "PATH"')
                continue
            self._script(name, source)

    def _module_option(self, item: AssignNode) -> None:
        """Take an option of the module: of them all, `enabled` alone says something here."""
        if item.name.lower() != "enabled":
            what = f"option '{item.name}' in scriptlet {{ }} has no meaning here and is ignored"
            self._notices.append(f"{item.place}: {what}")
            return
        truth = truth_of(item.value.text) if isinstance(item.value, TextNode) else None
        if truth is None:
            self._problem(item, f"{item.name} of scriptlet is no boolean", "true or false")
        self._off = item if truth is False else None

    def _script(self, name: str, source: TextNode) -> None:
        dotted = source.text.replace("/", ".")
        if dotted.startswith("msys."):
            message = f"script '{name}' is Momentum's own ({source.text}) and does nothing here"
            self._notices.append(f"{source.place}: {message}")
            return
        folder = Path(source.place.file).parent
        places = list(self._reader.folders(folder))
        found = next((path for path in _candidates(source.text, places) if path.is_file()), None)
        if found is None:  # said when it is loaded, which a program without policies does not do
            found = next(_candidates(source.text, places))
        self._scripts[name] = PolicyScript(name, str(found), source.place.file)

    def _datasource(self, item: ScopeNode) -> None:
        if item.instance is None:
            self._problem(item, "datasource without a name", f'datasource "NAME" {{ {_URI} }}')
            return
        uri = _option(item, "uri")
        uris = [uri.text] if isinstance(uri, TextNode) else []
        if isinstance(uri, TextListNode):
            uris = [each.text for each in uri.items]
        if len(uris) != 1 or not uris[0].startswith("sqlite:") or not uris[0][len("sqlite:") :]:
            engine = uris[0].partition(":")[0] if uris else "none"
            what = f"datasource '{item.instance.text}' with engine {engine}: only SQLite is built"
            self._losses.append(Loss("datasource", item.place, what, _URI))
            return
        numbers: dict[str, int] = {}
        for name in _NUMBERS:
            value = _option(item, name)
            if value is None:
                continue
            if not isinstance(value, TextNode) or not value.text.isdecimal():
                self._problem(
                    item, f"{name} of datasource '{item.instance.text}' is no number", f"{name} = 100"
                )
                continue
            numbers[name] = int(value.text)
        path = Path(item.place.file).parent / uris[0][len("sqlite:") :].removeprefix("//")
        self._sources[item.instance.text] = Datasource(str(path), **numbers)


def _option(item: ScopeNode, name: str) -> object:
    """Return the last value of an option of this scope, None without one."""
    found = None
    for each in item.items:
        if isinstance(each, AssignNode) and each.name.lower() == name:
            found = each.value
    return found


def _candidates(source: str, folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files that a source may mean: dots are slashes, and .lua is added."""
    for folder in folders:
        if not source.startswith("/"):
            yield folder / (source.replace(".", "/") + ".lua")
        yield folder / f"{source}.lua"
        if source.endswith(".lua"):
            yield folder / source
