from collections.abc import Mapping, Sequence
from ssl import SSLContext
from typing import Any

from cassandra.query import PreparedStatement

EXEC_PROFILE_DEFAULT: object

class NoHostAvailable(Exception):
    errors: Mapping[Any, Exception] | list[object]

class ExecutionProfile:
    def __init__(
        self,
        load_balancing_policy: object = ...,
        retry_policy: object = ...,
        consistency_level: int = ...,
        serial_consistency_level: int | None = ...,
        request_timeout: float | None = ...,
        row_factory: object = ...,
    ) -> None: ...

class Session:
    cluster: Any
    def prepare(self, query: str) -> PreparedStatement: ...
    def execute(
        self, query: object, parameters: Sequence[object] | None = ..., timeout: float | None = ...
    ) -> Any: ...

class Cluster:
    def __init__(
        self,
        contact_points: Sequence[str] = ...,
        *,
        port: int = ...,
        auth_provider: object = ...,
        ssl_context: SSLContext | None = ...,
        execution_profiles: Mapping[object, ExecutionProfile] = ...,
        connect_timeout: float = ...,
        control_connection_timeout: float = ...,
        reconnection_policy: object = ...,
        idle_heartbeat_interval: float = ...,
        idle_heartbeat_timeout: float = ...,
    ) -> None: ...
    def connect(self) -> Session: ...
    def shutdown(self) -> None: ...
