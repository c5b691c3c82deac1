"""One packer serves all records of a process: threads and failures leave nothing behind in it."""

import sys
import threading

import pytest
from msgspec.structs import replace

from engagement.events.record import decode, encode
from unit.event_samples import hit


def test_threads_do_not_mix_their_records() -> None:
    wrong: list[str] = []

    def work(name: str) -> None:
        event = replace(hit(), user_agent=name * 200)
        for _ in range(500):
            if decode(encode(event)) != event:
                wrong.append(name)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_a_record_that_cannot_be_packed_leaves_nothing_behind() -> None:
    with pytest.raises(OverflowError):
        encode(replace(hit(), at_ms=1 << 70))
    event = hit()
    assert decode(encode(event)) == event
