"""Reading with includes: that it ends, and what it says when it cannot (contract.md 2.2)."""

from pathlib import Path

import pytest

from engagement.settings import NoConfiguration, SettingsError, Where, files, load_file, load_text
from engagement.settings.files import MAX_INCLUDES


def test_missing_file_is_told_apart_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(NoConfiguration, match="no such file, expected a configuration file"):
        load_file(tmp_path / "smtpapi.conf")


def test_a_folder_is_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_file(tmp_path)


def test_text_without_a_file_cannot_include() -> None:
    with pytest.raises(SettingsError, match=r"<text>:1:1: an include outside a file"):
        load_text('include "/etc/passwd"')


def chain(folder: Path, length: int) -> Path:
    for number in range(length):
        following = f'include "{number + 1}.conf"\n' if number + 1 < length else "smtpapi { }\n"
        (folder / f"{number}.conf").write_text(following)
    return folder / "0.conf"


def test_includes_may_be_32_levels_deep(tmp_path: Path) -> None:
    assert load_file(chain(tmp_path, MAX_INCLUDES + 1)).active


def test_includes_beyond_32_levels_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="includes are nested too deeply, expected at most 32 levels"):
        load_file(chain(tmp_path, MAX_INCLUDES + 2))


def test_files_that_double_at_every_level_come_to_an_end(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.conf").write_text(f'include "{number + 1}.conf"\n' * 2)
    (tmp_path / "20.conf").write_text("smtpapi { }\n")
    with pytest.raises(SettingsError, match="too many files are included, expected at most 10000"):
        load_file(tmp_path / "0.conf")


def test_scopes_opened_by_included_files_are_nested_within_bounds(tmp_path: Path) -> None:
    for number in range(3):
        deeper = f'include "{number + 1}.conf"' if number < 2 else ""
        (tmp_path / f"{number}.conf").write_text("a { " * 60 + deeper + "}" * 60)
    with pytest.raises(SettingsError, match=r"1\.conf:1:17: nested too deeply, expected at most 64 levels"):
        load_file(tmp_path / "0.conf")


def test_a_loop_through_a_symbolic_link_is_a_loop(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text('include "b.conf"\n')
    (tmp_path / "b.conf").symlink_to("a.conf")
    with pytest.raises(SettingsError, match="includes itself"):
        load_file(tmp_path / "a.conf")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.conf").write_text("smtpapi { }\n")

    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        SettingsError, match=r"a\.conf' cannot be read: Permission denied, expected a readable"
    ):
        load_file(tmp_path / "a.conf")


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "a.conf").write_text('include "conf.d"\n')

    def refuse(_folder: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "_members", refuse)
    with pytest.raises(SettingsError, match="cannot be read: Permission denied, expected a readable folder"):
        load_file(tmp_path / "a.conf")


def test_a_name_too_long_for_a_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(f'include "{"x" * 5000}"\n')
    with pytest.raises(SettingsError, match="does not exist"):
        load_file(tmp_path / "a.conf")


def test_including_files_folder_comes_before_the_search_path(tmp_path: Path) -> None:
    for folder in ("here", "conf/global", "conf/mta7", "conf/default"):
        (tmp_path / folder).mkdir(parents=True)
    main = tmp_path / "here" / "smtpapi.conf"
    main.write_text('include "shared.conf"\n')
    for expiry, folder in enumerate(("conf/default", "conf/mta7", "conf/global", "here"), 1):
        (tmp_path / folder / "shared.conf").write_text(
            f"ESMTP_Listener {{ tracking_link_expiry = {expiry} }}\n"
        )
        settings = load_file(main, base=tmp_path / "conf", node="mta7")
        assert settings.scoped(Where()).value("tracking_link_expiry").value == expiry


def test_local_changes_come_last_wherever_the_line_stands(tmp_path: Path) -> None:
    (tmp_path / "local.conf").write_text("milter { workers = 9 }\n")
    main = tmp_path / "smtpapi.conf"
    main.write_text('local_changes_file = "local.conf"\nmilter { workers = 3 }\n')
    assert load_file(main).milter.workers == 9


def test_local_changes_that_do_not_exist_yet_are_none(tmp_path: Path) -> None:
    main = tmp_path / "smtpapi.conf"
    main.write_text('Local_Changes_File = "local.conf"\nmilter { workers = 3 }\n')
    assert load_file(main).milter.workers == 3


def test_files_of_a_folder_are_read_in_alphabetical_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf.d").mkdir()
    for number in (3, 1, 2):
        (tmp_path / "conf.d" / f"{number}.conf").write_text(f"milter {{ workers = {number} }}\n")
    main = tmp_path / "smtpapi.conf"
    main.write_text('include "conf.d"\n')
    for order in (sorted, lambda found: sorted(found, reverse=True)):
        listed = order(tmp_path.joinpath("conf.d").glob("*"))
        monkeypatch.setattr(Path, "iterdir", lambda _folder, listed=listed: iter(listed))
        assert load_file(main).milter.workers == 3


def test_values_name_the_file_they_stand_in(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("\ntracking_link_expiry = 7\n")
    main = tmp_path / "smtpapi.conf"
    main.write_text('ESMTP_Listener { include "more.conf" }\n')
    value = load_file(main).scoped(Where()).value("tracking_link_expiry")
    assert (value.file, value.line) == (str(tmp_path / "more.conf"), 2)


def test_changed_file_is_read_anew(tmp_path: Path) -> None:
    main = tmp_path / "smtpapi.conf"
    main.write_text("milter { workers = 3 }\n")
    assert load_file(main).milter.workers == 3
    main.write_text("milter { workers = 4 }\n")
    assert load_file(main).milter.workers == 4
