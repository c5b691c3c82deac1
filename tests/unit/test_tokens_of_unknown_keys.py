"""Counts of links whose key this host lacks (tracker_web.links.unknown_keys)."""

import json
from pathlib import Path

from engagement.links.keys import Ring
from engagement.spool.names import UNKNOWN_KEYS
from tracker_web.links.unknown_keys import UnknownKeys
from web.web_cases import KEY, token


class Site:
    """Counts in a folder that is not there yet, with a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.reports: list[str] = []
        self.answers = 0
        self.folder = folder / "spool"
        self.keys = UnknownKeys(self.folder, self.reports.append, self._counted, lambda: self.now)

    def _counted(self) -> None:
        self.answers += 1

    def add(self, number: int, times: int = 1) -> None:
        sealed = token(key=Ring((KEY,)).rotated(bytes(range(7, 39)), 1, number).signing)
        for _ in range(times):
            self.keys.add(sealed.encode())

    def written(self) -> dict[str, int]:
        (file,) = self.folder.glob(f"{UNKNOWN_KEYS}*")
        found: dict[str, int] = json.loads(file.read_text())
        return found


def test_each_key_is_counted_and_the_most_frequent_told_first(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.add(4711)
    site.add(65535, times=3)
    site.now += 60
    site.add(65535)
    assert site.reports == ["1 of key 4711", "4 of key 65535, 1 of key 4711"]
    assert site.answers == 5


def test_sixteen_keys_are_counted_each_by_itself_and_the_rest_together(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for number in range(1001, 1021):
        site.add(number, times=2)
    site.now += 60
    site.add(1001)
    site.add(1016)
    counts = {str(number): 2 for number in range(1001, 1017)} | {"0": 8, "1001": 3, "1016": 3}
    site.now += 1
    site.add(2000)
    assert site.written() == counts | {"0": 9}
    assert site.reports[1].startswith("8 of key others, 3 of key 1001, 2 of key 1002, ")


def test_the_file_is_written_once_a_second_and_the_log_once_a_minute(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.add(5)
    assert site.written() == {"5": 1}
    site.now += 0.9
    site.add(5)
    assert site.written() == {"5": 1}
    site.now += 0.1
    site.add(5)
    assert site.written() == {"5": 3}
    site.now += 58.9
    site.add(5)
    assert len(site.reports) == 1
    site.now += 0.1
    site.add(5)
    assert site.reports == ["1 of key 5", "5 of key 5"]


def test_what_is_no_token_is_not_counted(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.keys.add(b"a")
    assert (site.answers, site.reports) == (0, [])
    assert not site.folder.exists()


def test_a_folder_that_cannot_be_made_costs_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    site = Site(tmp_path)
    site.add(5)
    assert site.reports == ["1 of key 5"]
