"""`smtpapi config upgrade`: what earlier configurations say is written as today, and means the same."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from engagement.settings import SettingsError, load_file, load_text
from engagement.settings.errors import Place
from engagement.settings.schema import earlier
from engagement.settings.schema.earlier import upgraded
from engagement.settings.syntax import parse
from engagement.settings.syntax_tree import AssignNode, PairsNode, TextListNode, TextNode, lines
from smtpapi.commands import main

GOOD = sorted((Path(__file__).parents[1] / "config/good").glob("*/smtpapi.conf"))
HERE = Place("f")
texts = st.text('ab."\\#/*()[]{}= \n\u201c\u201d', max_size=8).map(lambda text: TextNode(text, HERE))
values = st.recursive(
    texts | st.lists(texts, max_size=3).map(lambda items: TextListNode(tuple(items), HERE)),
    lambda inner: st.lists(st.tuples(texts, inner), max_size=3).map(
        lambda pairs: PairsNode(tuple(pairs), HERE)
    ),
    max_leaves=6,
)
EARLIER = """\
# mine, and it stays
smtpapi { }
engagement_tracker { Click_Track_Include_Metadata = false } # this, too
cassandra_client {
  uri = ( "name=a;host=192.0.2.1;port=9160"  /* the first */
          \u201cname=b;host=192.0.2.2;port=9042\u201d )
}
ESMTP_Listener { tracking_domain = \u201ct.example.com\u201d }
"""
TODAY = """\
# mine, and it stays
smtpapi { }
engagement_tracker { click_tracking_include_metadata = false } # this, too
cassandra_client {
  uri = ( "name=a;host=192.0.2.1;port=9042"  /* the first */
          "name=b;host=192.0.2.2;port=9042" )
}
ESMTP_Listener { tracking_domain = "t.example.com" }
"""


def upgrade(path: Path, *arguments: str) -> str:
    done = CliRunner().invoke(
        main, ["config", "upgrade", "--config", str(path), "--state", str(path.parent / "state"), *arguments]
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_earlier_words_become_todays_and_all_else_stays() -> None:
    found = upgraded(EARLIER.encode(), "f")
    assert found.content.decode() == TODAY
    assert [f"{each.place}: {each.what}" for each in found.changes] == [
        "f:3:22: 'Click_Track_Include_Metadata' is click_tracking_include_metadata now",
        "f:5:11: port 9160 is 9042 now",
        'f:6:11: typographic quotes are " now',
        'f:8:36: typographic quotes are " now',
    ]
    assert load_text(EARLIER).warnings != ()
    assert load_text(TODAY).warnings == ()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.parent.name)
def test_what_is_in_force_is_the_same_and_a_second_time_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    found = upgraded(before, "f")
    assert (found.content == before) == (found.changes == ())
    assert upgraded(found.content, "f") == earlier.Upgraded(found.content, ())
    try:
        was = load_text(before.decode("utf-8", "replace"), "f")
    except SettingsError:
        return  # a part of a configuration
    now = load_text(found.content.decode("utf-8"), "f")
    if "ISO-8859-1" not in str(found.changes):
        assert {key: value.value for key, value in now.origins.items() if key[1] != "uri"} == {
            key: value.value for key, value in was.origins.items() if key[1] != "uri"
        }


def test_an_option_that_went_is_read_with_a_notice_and_becomes_a_comment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = {("store", "vacuum"): "SQLite does it itself", ("", "tracking_colour"): "nobody saw it"}
    monkeypatch.setattr(earlier, "RETIRED", gone)
    text = (
        'smtpapi { }\nstore { vacuum = ( a\n # ")" \n "b)" ) path = "/x" }\n'
        "ESMTP_Listener { Tracking_Colour = [ a = ( b ) /* c */ ] }\n"
    )
    assert load_text(text, "f").notices[:2] == (
        "f:2:9: 'vacuum' is no longer read: SQLite does it itself",
        "f:5:18: 'Tracking_Colour' is no longer read: nobody saw it",
    )
    found = upgraded(text.encode(), "f").content.decode()
    assert found == (
        "smtpapi { }\n"
        'store { /* vacuum = ( a\n # ")" \n "b)" ): no longer read, SQLite does it itself */ path = "/x" }\n'
        "ESMTP_Listener { /* Tracking_Colour = [ a = ( b ) /* c * / ]: no longer read, nobody saw it */ }\n"
    )
    assert str(load_text(found, "f").store.path) == "/x"
    assert load_text(found, "f").notices == ()
    assert upgraded(found.encode(), "f").changes == ()


@given(values)
def test_the_end_of_any_value_is_found(value: TextNode | TextListNode | PairsNode) -> None:
    written = "\n".join(lines((AssignNode("name", value, HERE),)))
    text = f"{written} after = x"
    first, _ = parse(text, "f").items
    assert isinstance(first, AssignNode)
    known = earlier._Lines(text)
    assert known.value_end(known.at(first.value.place)) == len(written)


def test_marks_and_other_encodings_are_kept_or_become_utf_8() -> None:
    marked = b"\xef\xbb\xbf" + EARLIER.encode()
    assert upgraded(marked, "f").content == b"\xef\xbb\xbf" + TODAY.encode()
    found = upgraded(b"# caf\xe9\nsmtpapi { }\n", "f")
    assert found.content == "# caf\u00e9\nsmtpapi { }\n".encode()
    assert [str(each.place) for each in found.changes] == ["f"]


def test_all_files_are_shown_changed_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    inner = tmp_path / "conf.d/10.conf"
    inner.parent.mkdir()
    path.write_text('smtpapi { }\ninclude "conf.d"\n')
    inner.write_text("engagement_tracker { click_track_include_metadata = false }\n")
    inner.chmod(0o640)
    before = inner.read_bytes()

    shown = upgrade(path)
    assert f"+++ {inner}" in shown
    assert "+engagement_tracker { click_tracking_include_metadata = false }" in shown
    assert inner.read_bytes() == before

    assert f"changed {inner}" in upgrade(path, "--apply")
    assert inner.read_text() == "engagement_tracker { click_tracking_include_metadata = false }\n"
    assert inner.stat().st_mode & 0o777 == 0o640
    assert load_file(path).warnings == ()
    assert upgrade(path, "--apply") == "Nothing to change.\n"

    assert f"restored {inner}" in upgrade(path, "--undo")
    assert inner.read_bytes() == before
    assert upgrade(path, "--undo") == "Nothing to undo.\n"


def test_a_file_that_is_none_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "smtpapi.conf"
    path.write_text("smtpapi {\n")
    done = CliRunner().invoke(main, ["config", "upgrade", "--config", str(path), "--apply"])
    assert (done.exit_code, path.read_text()) == (2, "smtpapi {\n")
    assert "the file ends inside the { of line 1" in done.output
