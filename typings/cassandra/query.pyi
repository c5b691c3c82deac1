from collections.abc import Sequence

class BoundStatement:
    fetch_size: int

class PreparedStatement:
    is_idempotent: bool
    def bind(self, values: Sequence[object]) -> BoundStatement: ...

class BatchType:
    UNLOGGED: object

class BatchStatement:
    is_idempotent: bool
    def __init__(self, batch_type: object = ...) -> None: ...
    def add(self, statement: object) -> None: ...

tuple_factory: object
UNSET_VALUE: object
