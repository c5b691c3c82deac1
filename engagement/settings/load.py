"""Turn a configuration's tree into settings: each name in its place, each value checked (contract.md 1, 2).

Not the grammar (`syntax`), nor reading (`files`), nor what a single value may be (`option_types`, `schema`),
nor what only Momentum has (`momentum`). Invariant: raises only `SettingsError`, which then holds all
problems.
"""

import difflib
from collections.abc import Iterable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from engagement.settings import lint, scripts
from engagement.settings.errors import OptionValueError, Place, Problem, SettingsError
from engagement.settings.files import FileReader
from engagement.settings.momentum.scope_names import DISPLAY, INSIDE
from engagement.settings.momentum.unserved import OPEN_STANZAS, Unserved, misplaced
from engagement.settings.option import Option, options_of
from engagement.settings.option_types.networks import Network, network
from engagement.settings.option_types.option_type import quoted_value
from engagement.settings.schema import SCOPED, STANZAS, TRACKING_OPTIONS, earlier
from engagement.settings.scopes import Block, ListenAddress, Table, Value, listen_of
from engagement.settings.settings import Settings
from engagement.settings.syntax_tree import AssignNode, IncludeNode, Item, ScopeNode, quoted

_LISTEN_FORM = '"ADDRESS:PORT", ":PORT" for any address, or "/path/of/a/socket"'


def load_file(path: Path, *, base: Path | None = None, node: str = "") -> Settings:
    """Return the settings of a file and all it includes.

    base: Momentum's …/etc/conf folder, where included files are also searched for. Without it, one above the
    file is used. Raises SettingsError for a configuration with problems, NoConfiguration where there is no
    such file.
    """
    reader = FileReader(base, node)
    items = reader.read(path)
    return _settings(items, reader)


def load_text(text: str, name: str = "<text>") -> Settings:
    """Return the settings of a text, which cannot include files. Raises SettingsError for problems in it."""
    reader = FileReader()
    items = reader.text(text, name)
    return _settings(items, reader)


def _settings(items: Iterable[Item], reader: FileReader) -> Settings:
    items = tuple(items)
    loader = _Loader(reader.problems, reader.warnings)
    for item in items:
        loader.item(item, loader.top)
    scripted = scripts.read(items, reader)
    loader.unserved.take(scripted.losses)
    loader.check_together()
    if loader.problems:
        raise SettingsError(sorted(loader.problems, key=lambda problem: problem.place))
    stanzas = {name: loader.stanza(name) for name in STANZAS if name in loader.seen or name not in _OPTIONAL}
    settings = Settings(**stanzas, origins=loader.origins, table=Table(loader.top))
    settings = replace(settings, scripts=scripted.scripts, datasources=scripted.sources)
    warnings = (*loader.warnings, *lint.warnings(settings))
    notices = (*loader.retired, *loader.unserved.notices.values(), *scripted.notices)
    notices += tuple(lint.notices(settings))
    return replace(settings, warnings=tuple(dict.fromkeys(warnings)), notices=notices)


_OPTIONAL = frozenset({"smtpapi", "cassandra_client"})


class _Loader:
    """Collects values, problems, warnings and notices while it goes through a tree."""

    def __init__(self, problems: list[Problem], warnings: list[str]) -> None:
        self.problems = problems
        self.warnings = warnings
        self.unserved = Unserved()
        self.retired: list[str] = []
        self.top = Block("global", "Global")
        self.seen: set[str] = set()
        self.origins: dict[tuple[str, str], Value] = {}
        self._blocks: dict[tuple[int, str, object], Block] = {}
        self._named: dict[tuple[str, str], dict[str, Value]] = {}  # of `OPEN_STANZAS`, by instance name

    def check_together(self) -> None:
        """Check the rules between two options."""
        size = self.origins.get(("spool", "segment_size"))
        most = self.origins.get(("spool", "max_size"))
        spool = self.stanza("spool")
        if spool.segment_size > spool.max_size and (value := size or most):
            what = f"segment_size is {spool.segment_size}, above the max_size of the whole spool"
            self.problems.append(
                Problem(Place(value.file, value.line, value.column), what, f"at most {spool.max_size}")
            )
        self._check_hop()
        self._check_unserved()
        self._check_metrics()
        self._check_instances()
        engine = self.origins.get(("store", "engine"))
        if engine is not None and engine.value == "cassandra" and not self.stanza("cassandra_client").uri:
            what = "engine is cassandra, and no node of it is named"
            expected = 'cassandra_client { uri = ("name=NAME;host=HOST;port=9042") }'
            self.problems.append(Problem(Place(engine.file, engine.line, engine.column), what, expected))

    def _check_hop(self) -> None:
        rewriting = self.stanza("rewriting")
        mode = self.origins.get(("rewriting", "several_recipients"))
        if mode is not None and rewriting.several_recipients.needs_hop and not rewriting.split_listener:
            what = f"several_recipients = {mode.value} without a split_listener"
            expected = "the address and port of the MTA's second pass, as in split_listener = 127.0.0.1:10026"
            self.problems.append(Problem(Place(mode.file, mode.line, mode.column), what, expected))

    def _check_metrics(self) -> None:
        """Check that each program has an address of its own, and none that readers of mail use."""
        metrics = self.stanza("metrics")
        taken = {self.stanza(name).listen: f"{name} {{ listen }}" for name in ("tracker", "web")}
        for option in options_of(type(metrics)):
            address = getattr(metrics, option.name)
            if address in taken and (value := self.origins.get(("metrics", option.name))):
                what = f"metrics {{ {option.name} }} is {address}, and so is {taken[address]}"
                place = Place(value.file, value.line, value.column)
                self.problems.append(Problem(place, what, "an address of its own for each"))
            if address:
                taken[address] = f"metrics {{ {option.name} }}"

    def _check_instances(self) -> None:
        """Check that stanzas of one kind agree whatever their names: here they are one."""
        for stanza in OPEN_STANZAS:
            given = [values for (kind, _), values in self._named.items() if kind == stanza]
            for option in options_of(STANZAS[stanza]):
                found = [values[option.name] for values in given if option.name in values]
                every = {value.value for value in found} | (
                    {option.default} if len(found) < len(given) else set()
                )
                if len(every) > 1 and option.name != "debug_level":
                    what = f"stanzas {stanza} of several names differ in {option.name}, and here they are one"
                    place = Place(found[-1].file, found[-1].line, found[-1].column)
                    self.problems.append(Problem(place, what, "the same in each"))

    def _check_unserved(self) -> None:
        self.unserved.check(self.top, self.origins.items())
        listen = self.unserved.listen(given=("tracker", "listen") in self.origins)
        if listen is not None:
            self.origins["tracker", "listen"] = listen
        problems, warnings = self.unserved.settle(self.origins.get(("momentum", "ignore")))
        self.problems += problems
        self.warnings += warnings

    def stanza(self, name: str) -> Any:
        """Return the stanza's object, from the values set and the declared defaults."""
        given = {option: value.value for (stanza, option), value in self.origins.items() if stanza == name}
        return STANZAS[name](**given)

    def item(self, item: Item, block: Block) -> None:
        """Read one item of a scope that is known."""
        match item:
            case AssignNode():
                self._assign(item, block)
            case ScopeNode():
                self._scope(item, block)
            case IncludeNode():
                pass  # the reader has put in its text, or reported why not

    def _assign(self, item: AssignNode, block: Block) -> None:
        name = self._unaliased("", item)
        if self._is_retired("", item):
            return
        option = SCOPED.get(name)
        if option is not None and block.kind in option.scopes:
            if (value := self._read(option, item, block.label)) is not None:
                block.values[name] = value
        elif name in TRACKING_OPTIONS:
            self.problems.append(misplaced(item.name, item.place, block.label))
        elif name in STANZAS and block is self.top:
            self.problems.append(
                Problem(item.place, f"'{item.name}' is a stanza", f"{name} {{ … }}", item.name)
            )
        else:
            self.unserved.option(item, block, top=block is self.top)

    def _scope(self, item: ScopeNode, block: Block) -> None:
        name = item.name.lower()
        if name in STANZAS and block is self.top:
            self._stanza(item, name)
        elif name in INSIDE[block.kind]:
            inner = self._block(item, name, block)
            for each in item.items if inner else ():
                self.item(each, inner or block)
        elif name in scripts.STANZAS and block is self.top:
            pass  # `scripts` reads it
        elif name in STANZAS or name in DISPLAY:
            self.problems.append(misplaced(item.name, item.place, block.label))
        else:
            self.problems += self.unserved.stanza(item, block, top=block is self.top)

    def _stanza(self, item: ScopeNode, name: str) -> None:
        self.seen.add(name)
        if item.instance is not None and name not in OPEN_STANZAS:
            what = f"{name} has an instance name, {quoted_value(item.instance)}"
            self.problems.append(Problem(item.instance.place, what, f"{name} {{ … }}", item.instance.text))
        declared = {option.name: option for option in options_of(STANZAS[name])}
        for each in item.items:
            match each:
                case AssignNode() if self._is_retired(name, each):
                    pass
                case AssignNode():
                    self._own(name, each, declared.get(self._unaliased(name, each)), list(declared))
                case IncludeNode():
                    pass
                case ScopeNode(inner, _, _, place):
                    self.problems.append(misplaced(inner, place, name))
        if name in OPEN_STANZAS:
            instance = self._named.setdefault((name, item.instance.text if item.instance else ""), {})
            assigned = {each.name.lower() for each in item.items if isinstance(each, AssignNode)}
            instance.update(
                {each: self.origins[name, each] for each in assigned if (name, each) in self.origins}
            )

    def _unaliased(self, stanza: str, item: AssignNode) -> str:
        name = item.name.lower()
        today = earlier.RENAMED.get((stanza, name))
        if today is None:
            return name
        self.warnings.append(f"{item.place}: '{item.name}' is read as {today}, its right name")
        return today

    def _is_retired(self, stanza: str, item: AssignNode) -> bool:
        """Return whether an option went in an earlier release, and keep a notice of it."""
        why = earlier.RETIRED.get((stanza, item.name.lower()))
        if why is not None:
            self.retired.append(f"{item.place}: '{item.name}' is no longer read: {why}")
        return why is not None

    def _own(self, stanza: str, item: AssignNode, option: Option | None, names: list[str]) -> None:
        if option is not None:
            if (value := self._read(option, item, stanza)) is not None:
                self.origins[stanza, option.name] = value
            return
        if stanza in OPEN_STANZAS:
            self.unserved.in_stanza(stanza, item)
            return
        near = difflib.get_close_matches(item.name.lower(), names, 1)
        expected = f"{near[0]}" if near else f"one of {', '.join(names)}"
        self.problems.append(
            Problem(item.place, f"'{item.name}' is not an option of {stanza} {{ }}", expected)
        )

    def _read(self, option: Option, item: AssignNode, label: str) -> Value | None:
        try:
            found = option.kind.read(item.value)
        except OptionValueError as error:
            what = f"{option.title} {error.what}"
            self.problems.append(Problem(item.value.place, what, error.expected))
            return None
        return Value(found, label, *astuple(item.place))

    def _block(self, item: ScopeNode, kind: str, outer: Block) -> Block | None:
        """Return the block of a scope, a new one or that of its earlier appearance."""
        display = DISPLAY[kind]
        instance = item.instance.text if item.instance else ""
        matches = self._matches(kind, instance)
        if matches is None:
            place = item.instance.place if item.instance else item.place
            expected = {"listen": _LISTEN_FORM, "peer": "an address or CIDR block"}.get(kind, "a name")
            what = f"{display} '{instance}'" if instance else f"{display} without a name"
            self.problems.append(Problem(place, what, expected))
            return None
        key = (id(outer), kind, matches)
        if key not in self._blocks:
            name = f"{display} {quoted(instance)}" if instance else display
            label = name if outer is self.top else f"{outer.label} > {name}"
            self._blocks[key] = Block(kind, label, matches)
            outer.inner.append(self._blocks[key])
        return self._blocks[key]

    def _matches(self, kind: str, instance: str) -> ListenAddress | Network | str | None:
        match kind:
            case "listen":
                found = listen_of(instance)
                if found is None or isinstance(found.address, str) or not found.address.is_unspecified:
                    return found
                # Other programs' way to write "any address": no connection ever has it as its own.
                return ListenAddress("" if found.address.version == 4 else "[*]", found.port)
            case "peer":
                try:
                    return network(instance)
                except ValueError:
                    return None
            case "esmtp_listener":
                return instance
            case _:
                return instance or None
