"""The rules in force, read again when their files change; wrong files leave the last good rules in force."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engagement.classify.networks import AsDatabase, AsNumbers
from engagement.classify.read import RulesError, read_rules
from engagement.classify.rule_set import RuleSet
from engagement.classify.shipped import shipped
from engagement.extras import NotInstalledError
from engagement.settings.schema import ClassifyStanza

_EVERY: Final = 1.0  # seconds from one look at the files to the next

_Signature = tuple[tuple[str, int, int], ...]


class FollowedRules:
    """The rules that the settings name.

    report: called once for each change with what is wrong in files, or with rules that changed but kept
    their version.
    clock: returns seconds. Without a file that can be used the shipped rules are in force.
    """

    def __init__(
        self,
        settings: ClassifyStanza,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = Path(settings.rules) if settings.rules else None
        self._database = Path(settings.as_database) if settings.as_database else None
        self._report = report
        self._clock = clock
        self._current: RuleSet | None = None
        self._signature: _Signature | None = None
        self._next = float("-inf")

    def current(self) -> RuleSet:
        """Return the rules in force now."""
        now = self._clock()
        if self._current is None or now >= self._next:
            self._next = now + _EVERY
            self._renew()
        return self._current or shipped()

    def _renew(self) -> None:
        """Read the files anew where they have changed."""
        signature = self._look()
        if signature == self._signature:
            return
        first, self._signature = self._signature is None, signature
        if not signature:
            self._current = shipped()
            return
        try:
            renewed = read_rules(self._folder, self._as_numbers())
        except OSError as error:
            self._report(f"{error.filename or self._folder}: {error.strerror}; {self._remaining()}")
            return
        except (RulesError, ValueError, NotInstalledError) as error:
            self._report(f"{error}; {self._remaining()}")
            return
        old, self._current = self._current, renewed
        if not first and old and old.version == renewed.version and old.rules != renewed.rules:
            self._report(
                f"{self._folder}: the rules have changed and their version is still {renewed.version}: "
                "raise it, so that labels tell which rules gave them"
            )

    def _as_numbers(self) -> AsNumbers | None:
        return AsDatabase(self._database) if self._database else None

    def _remaining(self) -> str:
        return (
            "the last good rules stay in force" if self._current else "the program's own rules are in force"
        )

    def _look(self) -> _Signature:
        """Return names, times and sizes of the files; () where the program's own are the only ones."""
        paths = [self._database] if self._database else []
        if self._folder:
            try:
                paths += [self._folder, *self._folder.iterdir()]
            except OSError:
                paths.append(self._folder)
        return tuple(sorted(map(_state, paths)))


def _state(path: Path) -> tuple[str, int, int]:
    try:
        state = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), state.st_mtime_ns, state.st_size
