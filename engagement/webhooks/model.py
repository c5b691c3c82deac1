"""Webhooks, their state and their batches as plain values, and as JSON documents of the registry.

Three kinds of documents, so that people who change a webhook and the program that sends do not get into each
other's way: what a person entered (`Webhook`), how sending goes on (`State`), and each batch (`Batch`). The
octets of a batch are documents of their own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeVar

T = TypeVar("T", bound="Webhook | State | Batch")

PENDING: Final = "pending"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"
PAUSED_BY_PERSON: Final = "paused by a person"  # State.paused, where no failure did it
BatchState = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how a batch is sent. secrets: for signatures, `whsec_` and base64 (Standard Webhooks)."""

    target: str
    custom_headers: Mapping[str, str] = field(default_factory=dict)
    auth_type: str = "none"
    auth_credentials: Mapping[str, Any] = field(default_factory=dict)
    auth_request_details: Mapping[str, Any] = field(default_factory=dict)
    auth_token: str = ""
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a person entered. Names of fields are SparkPost's where it has them (contract.md 8.2).

    events: names of types; () stands for all. tenant: "" for the events of all tenants. corrections: whether
    hits classified anew are sent again, with `x_corrects`. revision: grows when the endpoint changes.
    former: endpoints of earlier revisions, which batches in the queue still go to. created_ms, deleted_ms:
    Unix milliseconds, 0 for never.
    """

    id: str
    name: str
    endpoint: Endpoint
    events: tuple[str, ...] = ()
    active: bool = True
    exception_subaccounts: tuple[int, ...] = ()
    tenant: str = ""
    corrections: bool = False
    revision: int = 1
    former: Mapping[str, Endpoint] = field(default_factory=dict)
    created_ms: int = 0
    deleted_ms: int = 0

    def endpoint_of(self, revision: int) -> Endpoint:
        """Return where a batch of that revision goes; to the present target if that is not known any more.

        It is signed with the secrets of today.
        """
        known = self.former.get(str(revision), self.endpoint)
        return replace(known, secrets=self.endpoint.secrets)


@dataclass(frozen=True, slots=True)
class State:
    """How sending goes on for one webhook.

    owner: the program that sends, "" for none. mark: events up to there are in batches, or were not wanted.
    number: the last batch that the mark takes in. failures: tries in a row that failed. failing_since_ms: the
    first of them. retry_ms: with the circuit open, when the next batch is tried. paused: why, "" if it is
    not. restarts: how often a person had it go on. run: the last run of `reclassified` that was reported;
    run_after: how far the next one is. again_from_ms, again_to_ms, again_after: a time that is sent again
    from the store, and how far it is. Moments are Unix milliseconds, 0 for never.
    """

    owner: str = ""
    mark: str = ""
    number: int = 0
    failures: int = 0
    failing_since_ms: int = 0
    retry_ms: int = 0
    last_successful_ms: int = 0
    last_failure_ms: int = 0
    last_error: str = ""
    paused: str = ""
    restarts: int = 0
    run: str = ""
    run_after: str = ""
    again_from_ms: int = 0
    again_to_ms: int = 0
    again_after: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch. It keeps its id and its octets however often it is sent.

    number: grows by one with each batch of a webhook. body: key of its octets. count: events in it. mark:
    where the events after it begin. tries: failed ones of the present sending. failed: failed ones of all.
    due_ms: when it is tried next. replays: how often it was asked for again. Moments are Unix milliseconds.
    """

    id: str
    number: int
    created_ms: int
    revision: int
    body: str
    count: int
    mark: str
    state: BatchState = PENDING
    tries: int = 0
    failed: int = 0
    due_ms: int = 0
    replays: int = 0
    ended_ms: int = 0
    response_code: str = ""
    failure_code: str = ""
    latency_ms: int = 0
    checked: bool = False

    @property
    def is_replay(self) -> bool:
        """Return whether it waits because a person asked for it again; that says nothing of health."""
        return self.replays > 0


def to_data(value: Webhook | State | Batch) -> dict[str, Any]:
    """Return a value as a JSON object."""
    return asdict(value)


def state_from(data: Mapping[str, Any]) -> State:
    """Return the state of a document; fields of later versions are left out."""
    return State(**_known(State, data))


def batch_from(data: Mapping[str, Any]) -> Batch:
    """Return the batch of a document."""
    return Batch(**_known(Batch, data))


def webhook_from(data: Mapping[str, Any]) -> Webhook:
    """Return the webhook of a document."""
    values = _known(Webhook, data)
    values["endpoint"] = _endpoint_from(values["endpoint"])
    values["former"] = {name: _endpoint_from(each) for name, each in values.get("former", {}).items()}
    for name in ("events", "exception_subaccounts"):
        values[name] = tuple(values.get(name, ()))
    return Webhook(**values)


def _endpoint_from(data: Mapping[str, Any]) -> Endpoint:
    values = _known(Endpoint, data)
    values["secrets"] = tuple(values.get("secrets", ()))
    return Endpoint(**values)


def _known(sort: type, data: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(sort)}
    return {name: value for name, value in data.items() if name in names}
