"""Lists of milters and undoing, for any text: nothing of others is lost, and what was ours is gone."""

from pathlib import Path

from hypothesis import given, reject
from hypothesis import strategies as st

from smtpapi.setup import milters
from smtpapi.setup.undoing import CannotUndo, FileChange, reverted

_TERMS = st.text(alphabet="abcdefgh0123456789_./:-$", min_size=1, max_size=20)
_ENTRIES = st.lists(
    st.one_of(
        _TERMS,
        st.tuples(_TERMS, st.lists(_TERMS, max_size=3)).map(
            lambda each: "{ " + ", ".join((each[0], *(f"{name}=1" for name in each[1]))) + " }"
        ),
    ),
    max_size=6,
)


@given(_ENTRIES, st.sampled_from([" ", ", ", ",", "\n   "]))
def test_a_list_of_milters_is_read_and_written_without_loss(entries: list[str], between: str) -> None:
    read = milters.read(between.join(entries))
    assert [each.text for each in read] == entries
    again = milters.read(milters.written(each.text for each in read))
    assert [(each.endpoint, dict(each.options)) for each in again] == [
        (each.endpoint, dict(each.options)) for each in read
    ]


@given(st.text())
def test_any_text_is_read_as_some_list(text: str) -> None:
    assert all(each.endpoint == each.endpoint.strip() for each in milters.read(text))


_LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b" -o x=1\n"]), max_size=12)


@given(_LINES, _LINES)
def test_undoing_an_unedited_file_gives_what_was_there(before: list[bytes], after: list[bytes]) -> None:
    edited = FileChange(b"".join(before), b"".join(after))
    assert reverted(Path("x"), edited, edited.after) == edited.before


@given(_LINES, _LINES, st.data())
def test_undoing_keeps_what_others_have_put_in(
    before: list[bytes], after: list[bytes], data: st.DataObject
) -> None:
    """Lines of others anywhere: all are there afterwards, and without them it is what was there."""
    edited = FileChange(b"".join(before), b"".join(after))
    now = list(after)
    for number in range(data.draw(st.integers(1, 3))):
        now.insert(data.draw(st.integers(0, len(now))), b"theirs %d\n" % number)
    try:
        found = reverted(Path("x"), edited, b"".join(now)).splitlines(keepends=True)
    except CannotUndo:
        reject()  # they stand among ours
    theirs = [line for line in now if line.startswith(b"theirs")]
    assert [line for line in found if line.startswith(b"theirs")] == theirs
    assert [line for line in found if not line.startswith(b"theirs")] == before
