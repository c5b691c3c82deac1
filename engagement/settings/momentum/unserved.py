"""What a configuration holds that is not served here: a notice for each name, or an error where it matters.

Names that only Momentum has are accepted and reported once. What would change what is tracked (`losses`) is
an error until `momentum { ignore }` names it.
"""

import difflib
from collections.abc import Iterable, Iterator
from functools import lru_cache

from engagement.settings.errors import Place, Problem
from engagement.settings.momentum import http_listener, losses
from engagement.settings.momentum.losses import Loss
from engagement.settings.momentum.scope_names import DISPLAY, INSIDE, homes
from engagement.settings.schema import SCOPED, STANZAS, TRACKING_OPTIONS, TRACKING_SCOPES
from engagement.settings.scopes import Block, Value
from engagement.settings.syntax_tree import AssignNode, ScopeNode

# Stanzas of Momentum's in which unknown options are no errors, and which may have a name.
OPEN_STANZAS = frozenset({"event_hydrant"})
# For stanzas that users of Momentum may expect: what replaces them here.
_INSTEAD = {
    "httpsrv": "tracker { } has the web server's options",
    "msg_gen": "it is about mail that is made over HTTP",
}
_OWN_OPTIONS = frozenset({"msg_gen"})  # has options of the same names (contract.md 1.6)
# Momentum's own stanzas whose names come near to ours.
_OTHERS = frozenset({"ecstream_listener", "xmpp_listener", "msgc_listener", "eccluster_listener"})
_NEAR = 0.85  # of the letters in common: finds misspellings, and none of Momentum's other names


class Unserved:
    """Collects what is not served while a tree is gone through."""

    def __init__(self) -> None:
        self.notices: dict[tuple[str, str], str] = {}
        self._losses: dict[tuple[str, str], Loss] = {}
        self._http: list[ScopeNode] = []

    def listen(self, *, given: bool) -> Value | None:
        """Return where HTTP_Listener says that the tracker listens; given: whether tracker { } says it."""
        if not self._http:
            return None
        if given:
            what = "stanza 'HTTP_Listener' is not read: tracker { listen } says where links are answered"
            self.notices["", "http_listener"] = f"{self._http[0].place}: {what}"
            return None
        found = http_listener.read(self._http)
        what = "stanza 'HTTP_Listener': its Listen alone is read, as the tracker's address"
        self.notices["", "http_listener"] = f"{self._http[0].place}: {what}"
        for number, loss in enumerate(found.losses):
            self._losses[loss.name, str(number)] = loss
        return found.listen

    def option(self, item: AssignNode, block: Block, *, top: bool) -> None:
        """Take an option that is not served in this scope."""
        name = item.name.lower()
        where = "" if top else f" in {DISPLAY[block.kind]}"
        if (loss := losses.of_option(item, block.label)) is not None:
            self._losses.setdefault((block.kind, name), loss)
            return
        ours = {option.name: option.title for option in SCOPED.values()}
        self._unknown(f"option '{item.name}'{where}", (block.kind, name), item.place, ours)

    def stanza(self, item: ScopeNode, block: Block, *, top: bool) -> Iterator[Problem]:
        """Take a stanza that is not served in this scope. Yield the problems in it."""
        name = item.name.lower()
        loss = losses.of_stanza(item)
        if loss is not None:
            self._losses.setdefault((block.kind, name + " {"), loss)
        if name == "http_listener" and top:
            self._http.append(item)
        elif loss is None:
            where = "" if top else f" in {DISPLAY[block.kind]}"
            ours = {kind: DISPLAY[kind] for kind in INSIDE[block.kind]}
            ours |= {stanza: stanza for stanza in STANZAS} if top else {}
            self._unknown(f"stanza '{item.name}'{where}", (block.kind, name + " {"), item.place, ours)
        yield from _misplaced_in(item)

    def in_stanza(self, stanza: str, item: AssignNode) -> None:
        """Take an option of one of `OPEN_STANZAS` that is not served."""
        self._notice((stanza, item.name.lower()), item.place, f"option '{item.name}' in {stanza} {{ }}")

    def take(self, lost: Iterable[Loss]) -> None:
        """Take what was found elsewhere."""
        for number, loss in enumerate(lost):
            self._losses[loss.name, f"{number} {{"] = loss

    def check(self, top: Block, origins: Iterable[tuple[tuple[str, str], Value]]) -> None:
        """Take what only shows once all is read."""
        for (stanza, option), value in origins:
            if option == "enabled" and (loss := losses.of_module_off(stanza, value)) is not None:
                self._losses[stanza, option] = loss
        for block in top.walk():
            opened = block.values.get("open_relay")
            if opened is not None and opened.value and block.kind != "peer":
                self._losses.setdefault(("", "open_relay"), losses.of_open_relay(opened, block.label))

    def settle(self, ignore: Value | None) -> tuple[list[Problem], list[str]]:
        """Return the losses that nobody has acknowledged, and warnings about names that acknowledge none.

        ignore: the option `momentum { ignore }`, None where it is not set.
        """
        names = [] if ignore is None else [str(each) for each in ignore.value]
        allowed = {each.lower() for each in names}
        problems = []
        for key, loss in self._losses.items():
            if loss.name in allowed:
                self.notices[key] = f"{loss.place}: {loss.what}; ignored, as momentum {{ ignore }} says"
            else:
                problems.append(loss.problem())
        known = {loss.name for loss in self._losses.values()}
        unused = [each for each in names if each.lower() not in known]
        at = f"{ignore.file}:{ignore.line}" if ignore else ""
        return problems, [
            f"{at}: ignore names '{each}', and nothing here has to be ignored by that name" for each in unused
        ]

    def _unknown(self, what: str, key: tuple[str, str], place: Place, ours: dict[str, str]) -> None:
        """Report a name that is unknown here: once, or as an error where it is close to a known one."""
        name = key[1].removesuffix(" {")
        near = _nearest(name, tuple(ours)) if name not in _OTHERS else None
        if near == name:
            self._losses.setdefault(key, losses.misplaced(what, name, place))
            return
        if near:
            self._losses.setdefault(key, losses.misspelt(what, name, place, ours[near]))
            return
        self._notice(key, place, what)
        if name != key[1] and name in _INSTEAD:
            self.notices[key] = f"{place}: {what} has no meaning here and is ignored; {_INSTEAD[name]}"

    def _notice(self, key: tuple[str, str], place: Place, what: str) -> None:
        self.notices.setdefault(key, f"{place}: {what} has no meaning here and is ignored")


def _misplaced_in(item: ScopeNode, outer: str = "") -> Iterator[Problem]:
    """Yield a problem for each tracking option in a scope that has no meaning here.

    Not in a listener of other mail: what stands in its scopes is its own (`losses`).
    """
    if item.name.lower() in _OWN_OPTIONS:
        return
    kind = item.name.lower()
    own = kind.endswith("_listener") and kind != "esmtp_listener"
    label = f"{outer} > {item.name}" if kind in TRACKING_SCOPES else item.name
    for each in item.items:
        match each:
            case AssignNode(name, _, place) if name.lower() in TRACKING_OPTIONS:
                if not own:
                    yield misplaced(name, place, label)
            case ScopeNode(name) if own and name.lower() in TRACKING_SCOPES:
                pass
            case ScopeNode():
                yield from _misplaced_in(each, label)
            case _:
                pass


def misplaced(name: str, place: Place, scope: str) -> Problem:
    """Return the problem of an option or scope that stands where it is not valid."""
    what = f"'{name}' is not a valid scope name in scope '{scope}'"
    return Problem(place, what, homes(name.lower()), name)


@lru_cache(maxsize=1024)  # Momentum's files repeat the same few names thousands of times
def _nearest(name: str, names: tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, 1, _NEAR)), None)
