"""Notes in the registry of runs that classified stored hits anew, for webhooks that report corrections.

`smtpapi classify` writes one before it changes anything and completes it at its end. One that was killed
leaves a note without an end, which counts once it is a day old.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

from engagement.registry.port import Registry

KIND: Final = "reclassified"
_UNFINISHED_MS: Final = 86_400_000  # a run that takes longer is taken for one that was killed
_PAGE: Final = 100  # documents of one read


@dataclass(frozen=True, slots=True)
class Run:
    """One run. from_ms, to_ms: of the hits it classified. at_ms: when it began, as hits' histories have it.
    rules: their version.

    key: sorts runs by their beginning. Moments are Unix milliseconds; ended_ms: 0 for not yet.
    """

    key: str
    from_ms: int
    to_ms: int
    at_ms: int
    rules: str = ""
    ended_ms: int = 0

    def is_over(self, now_ms: int) -> bool:
        """Return whether it changes nothing any more."""
        return self.ended_ms > 0 or now_ms - self.at_ms > _UNFINISHED_MS


def begin(registry: Registry, span: tuple[int, int], at_ms: int, rules: str, name: str) -> Run:
    """Note a run that begins. span: of the hits. name: distinguishes runs of one moment.

    Raises RegistryError.
    """
    run = Run(f"{at_ms:015d}-{name}", *span, at_ms, rules)
    _put(registry, run)
    return run


def end(registry: Registry, run: Run, now_ms: int, *, retention_ms: int = 0) -> None:
    """Note that a run has ended, and remove notes older than retention_ms, 0 for none.

    Raises RegistryError.
    """
    _put(registry, replace(run, ended_ms=max(1, now_ms)))
    if retention_ms:
        for old in list(after(registry, "")):
            if old.at_ms < now_ms - retention_ms:
                registry.delete(KIND, old.key)


def after(registry: Registry, key: str) -> Iterator[Run]:
    """Yield the runs that began after that of a key, "" for all. Raises RegistryError."""
    while page := registry.find(KIND, after=key, limit=_PAGE):
        for document in page:
            data = document.data
            from_ms, to_ms, at_ms = (int(data.get(name, 0)) for name in ("from_ms", "to_ms", "at_ms"))
            ended_ms = int(data.get("ended_ms", 0))
            yield Run(document.key, from_ms, to_ms, at_ms, str(data.get("rules", "")), ended_ms)
        key = page[-1].key


def _put(registry: Registry, run: Run) -> None:
    registry.put(KIND, run.key, {name: value for name, value in asdict(run).items() if name != "key"})
