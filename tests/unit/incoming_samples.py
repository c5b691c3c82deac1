"""Services of a session of which a test says what they answer, and an MTA that notes what it is asked for."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import Milter

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.granted_actions import GrantedActions
from smtpapi.model.message import Message
from smtpapi.model.outcome import HeaderChange, Leave, Outcome, Why
from smtpapi.mta.body_memory import BodyMemory
from smtpapi.mta.services import SessionServices
from smtpapi.pipeline.site import MessageResult


class Counts:
    """Counters that are looked at by their names."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.outcomes: list[tuple[Outcome, float]] = []

    def add(self, name: str) -> None:
        self.names[name] += 1

    def add_outcome(self, outcome: Outcome, seconds: float) -> None:
        self.outcomes.append((outcome, seconds))


def nothing_to_remove(_envelope: Envelope, _header: Message) -> tuple[HeaderChange, ...]:
    return ()


@dataclass
class Services:
    """What a test changes; `as_services` makes the others believe that it is a worker's."""

    limit: int = 1 << 40
    max_size: int = 1 << 30
    answer: MessageResult | Exception | None = None
    removable: Callable[[Envelope, Message], tuple[HeaderChange, ...]] = nothing_to_remove
    record_fails: bool = False
    keep: Callable[[MessageResult, Message], bool] | None = None
    counters: Counts = field(default_factory=Counts)
    recorded: list[MessageResult] = field(default_factory=list)
    considered: list[tuple[Envelope, Message, Mapping[str, str]]] = field(default_factory=list)
    without: list[Message] = field(default_factory=list)
    ticks: float = 0.0

    def __post_init__(self) -> None:
        self.body_memory = BodyMemory(self.limit)

    def counts(self, _client: Client) -> bool:
        return True

    def tick(self) -> float:
        self.ticks += 0.5
        return self.ticks

    def consider(
        self, envelope: Envelope, message: Message, context: Mapping[str, str], _rights: GrantedActions
    ) -> MessageResult:
        self.considered.append((envelope, message, context))
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    def without_room(self, _envelope: Envelope, header: Message, _rights: GrantedActions) -> Outcome:
        self.without.append(header)
        return Leave(Why.OVER_MEMORY)

    def record(self, result: MessageResult) -> None:
        if self.record_fails:
            raise OSError(28, "No space left on device")
        self.recorded.append(result)

    def taken(self) -> int:
        """The octets of the shared memory that are taken."""
        left = self.limit
        assert self.body_memory.take(0)
        low, high = 0, left
        while low < high:
            middle = (low + high + 1) // 2
            if self.body_memory.take(middle):
                self.body_memory.give(middle)
                low = middle
            else:
                high = middle - 1
        return left - low

    @property
    def as_services(self) -> SessionServices:
        return cast(SessionServices, self)


class Mta(Milter.Base):
    """Notes the calls of a session in their order. fails: the name of a call that raises."""

    def __init__(self, fails: str = "") -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._fails = fails

    def _note(self, *call: Any) -> None:
        if call[0] == self._fails:
            raise OSError(32, "Broken pipe")
        self.calls.append(call)

    def chgheader(self, *values: Any) -> None:
        self._note("chgheader", *values)

    def addheader(self, *values: Any) -> None:
        self._note("addheader", *values)

    def addrcpt(self, *values: Any) -> None:
        self._note("addrcpt", *values)

    def delrcpt(self, *values: Any) -> None:
        self._note("delrcpt", *values)

    def replacebody(self, *values: Any) -> None:
        self._note("replacebody", *values)


CLIENT = Client("192.0.2.7")
ENVELOPE = Envelope(CLIENT, "a@s.test", ("b@r.test",), "Q1")
