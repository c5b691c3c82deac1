from collections.abc import Sequence
from typing import Any

from cassandra.cluster import Session

def execute_concurrent(
    session: Session,
    statements_and_parameters: Sequence[tuple[object, Sequence[object] | None]],
    concurrency: int = ...,
    raise_on_first_error: bool = ...,
) -> list[tuple[bool, Any]]: ...
def execute_concurrent_with_args(
    session: Session,
    statement: object,
    parameters: Sequence[Sequence[object]],
    concurrency: int = ...,
    raise_on_first_error: bool = ...,
) -> list[tuple[bool, Any]]: ...
