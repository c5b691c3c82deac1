"""What Momentum's stanzas `scriptlet` and `datasource` declare: Lua scripts and the databases they ask."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PolicyScript:
    """A script that `scriptlet { }` names. file: where it lies. named_in: the file that names it."""

    name: str
    file: str
    named_in: str


@dataclass(frozen=True, slots=True)
class Datasource:
    """A database that scripts may ask. cache_life: seconds for which an answer is used again.

    cache_size: answers that are kept. max_rows: rows of an answer; what is beyond is left out.
    """

    path: str
    cache_life: int = 3600
    cache_size: int = 1000
    max_rows: int = 100
