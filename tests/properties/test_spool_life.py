"""A spool's life in any order of steps: what was appended is read, what was committed is not read again."""

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter

STEPS = st.lists(
    st.sampled_from(["append", "append", "append", "read", "commit", "reader dies", "rewind", "writer ends"]),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([40, 100, 10_000]), st.sampled_from([1, 60, 10_000]))
@example(["append", "read", "commit", "reader dies", "commit"], 10_000, 10_000)  # forgot what was committed
def test_every_record_is_read_and_none_after_its_commit(steps: list[str], segment: int, portion: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        spool = Path(name)
        writer, reader = SpoolWriter(spool, segment_size=segment, group_ms=1), SpoolReader(spool)
        appended: list[bytes] = []
        in_hand: list[bytes] = []
        done: list[bytes] = []

        def read() -> None:
            for entry in reader.read(portion):
                assert entry.record not in done
                in_hand.append(entry.record)

        for step in [*steps, "writer ends", "reader dies"]:
            match step:
                case "append":
                    record = b"%d" % len(appended)
                    assert writer.append(record)
                    appended.append(record)
                case "read":
                    read()
                case "commit":
                    reader.commit()
                    done += in_hand
                    in_hand.clear()
                case "reader dies":
                    reader = SpoolReader(spool)
                    in_hand.clear()
                case "rewind":
                    reader.rewind()
                    in_hand.clear()
                case "writer ends":
                    writer.close()
                    writer = SpoolWriter(spool, segment_size=segment, group_ms=1)
        writer.close()
        for _ in range(len(appended) + 2):
            read()
        reader.commit()
        assert done + in_hand == appended
        assert not list(spool.glob("*.ready")) + list(spool.glob("*.open"))
