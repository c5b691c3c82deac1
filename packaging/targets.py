"""The systems that a package is made for, and which CPython each of them has."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """A system. python: version of its own CPython, which runs the programs. suffix: ends the version."""

    name: str
    format: str
    python: str
    suffix: str

    @property
    def depends(self) -> tuple[str, ...]:
        """Return what must be installed, in the words of the system's package manager."""
        minor = int(self.python.partition(".")[2])
        if self.format == "rpm":
            return (f"python{self.python}", "systemd", "shadow-utils")
        return (
            f"python3 (>= 3.{minor}~)",
            f"python3 (<< 3.{minor + 1}~)",
            "libc6 (>= 2.34)",
            "libgcc-s1",
            "debconf (>= 0.5) | debconf-2.0",
            "systemd",
        )


TARGETS: Final = (
    Target("debian12", "deb", "3.11", "+deb12"),
    Target("debian13", "deb", "3.13", "+deb13"),
    Target("ubuntu24.04", "deb", "3.12", "+ubuntu24.04"),
    Target("ubuntu26.04", "deb", "3.14", "+ubuntu26.04"),
    Target("el9", "rpm", "3.11", "el9"),
    Target("el10", "rpm", "3.12", "el10"),
)
