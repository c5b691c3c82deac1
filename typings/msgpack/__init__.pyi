from typing import Any

class UnpackException(Exception): ...
class ExtraData(ValueError): ...

class Timestamp:
    def __init__(self, seconds: int, nanoseconds: int = ...) -> None: ...

class Packer:
    def __init__(self, *, unicode_errors: str | None = ...) -> None: ...
    def pack(self, o: object) -> bytes: ...

def packb(o: object, *, use_bin_type: bool = ..., unicode_errors: str | None = ...) -> bytes: ...
def unpackb(
    packed: bytes | memoryview,
    *,
    raw: bool = ...,
    use_list: bool = ...,
    strict_map_key: bool = ...,
    unicode_errors: str | None = ...,
    max_array_len: int = ...,
    max_map_len: int = ...,
    max_ext_len: int = ...,
) -> Any: ...
