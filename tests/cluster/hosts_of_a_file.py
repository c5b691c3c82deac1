"""Hosts whose registry is one file: a cluster without network and waiting. Not a test."""

from collections.abc import Callable
from pathlib import Path

from engagement.cluster.program import ClusterProgram
from engagement.cluster.sealing import make
from engagement.links.keys import Ring
from engagement.links.ring_file import load_ring, save_ring
from engagement.registry.port import RegistryError
from engagement.registry.sqlite import SqliteRegistry
from engagement.settings import load_file


class Place:
    """One host's files and program. away: its registry cannot be used."""

    def __init__(self, folder: Path, name: str, *, registry: Path, key: Path, cluster: str = "news") -> None:
        self.name = name
        self.folder = folder / name
        self.ring = self.folder / "keys"
        self.stopped = self.folder / "stopped.json"
        self.objections = self.folder / "objections"
        self.rules = self.folder / "classify"
        self.spool = self.folder / "spool"
        self.config = self.folder / "smtpapi.conf"
        self.cluster = self.folder / "cluster"
        self.away = False
        self.now: Callable[[], float] = lambda: 1_800_000_000.0
        self._registry = registry
        for each in (self.rules, self.spool):
            each.mkdir(parents=True)
        self.objections.touch()
        self.config.write_text(
            f"""smtpapi {{ }}
smtpapi_cluster {{ name = {cluster} host = {name} key_file = "{key}" directory = "{self.cluster}" }}
keys {{ ring = "{self.ring}" }}
registry {{ path = "{registry}" }}
tracker {{ stop_list = "{self.stopped}" hosts = ( "{name}.example.com" ) }}
privacy {{ objections = "{self.objections}" }}
classify {{ rules = "{self.rules}" }}
spool {{ directory = "{self.spool}" }}
"""
        )
        self.start()

    def start(self) -> None:
        """Start the program anew."""
        self.program = ClusterProgram(
            load_file(self.config), now=lambda: self.now(), clock=lambda: self.now()
        )
        self.program.exchange._open = self._opened

    def _opened(self) -> SqliteRegistry:
        if self.away:
            raise RegistryError("it is away.")
        return SqliteRegistry(self._registry)

    def turn(self) -> None:
        if self.away and (registry := self.program.exchange.registry()) is not None:
            self.program.exchange.lost(RegistryError("it is away."))
            del registry
        self.program.turn()

    def keys(self) -> Ring:
        return load_ring(self.ring)


def cluster(folder: Path, *names: str) -> list[Place]:
    """So many hosts; the first has a key ring."""
    key = folder / "cluster.key"
    make(key)
    registry = folder / "registry" / "registry.db"
    found = [Place(folder, name, registry=registry, key=key) for name in names]
    save_ring(found[0].ring, Ring().rotated(b"1" * 32, 1_700_000_000))
    return found


def settle(*places: Place, turns: int = 3) -> None:
    """Let each have some turns."""
    for _ in range(turns):
        for place in places:
            place.turn()
