"""Golden documents: one folder a case, most named after a row of other systems' faults."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpus_checks.html5lib_links import as_html5lib_reads, hrefs
from smtpapi.find import html, text

DOCUMENTS = Path(__file__).parents[1] / "golden" / "documents"


def cases(name: str) -> list[Path]:
    return sorted(path.parent for path in DOCUMENTS.glob(f"*/{name}"))


def read(case: Path, name: str) -> tuple[bytes, dict[str, Any]]:
    return (case / name).read_bytes(), json.loads((case / "expect.json").read_text("utf-8"))


@pytest.mark.parametrize("case", cases("in.html"), ids=lambda case: case.name)
def test_html_document(case: Path) -> None:
    data, expected = read(case, "in.html")
    page = html.scan(data)
    links = [
        {
            "start": anchor.start,
            "stop": anchor.stop,
            "written": data[anchor.start : anchor.stop].decode(),
            "target": anchor.target.decode(),
            "tag": anchor.tag,
        }
        for anchor in page.anchors
    ]
    assert links == expected["links"]
    assert page.body_open == expected["body_open"]
    assert page.body_close == expected["body_close"]
    assert page.has_html == expected["has_html"]


@pytest.mark.parametrize("case", cases("in.html"), ids=lambda case: case.name)
def test_html5lib_sees_the_same_links(case: Path) -> None:
    data, _ = read(case, "in.html")
    assert [as_html5lib_reads(anchor.target) for anchor in html.scan(data).anchors] == hrefs(data.decode())


@pytest.mark.parametrize("case", cases("in.txt"), ids=lambda case: case.name)
def test_text_document(case: Path) -> None:
    data, expected = read(case, "in.txt")
    links = [
        {
            "start": link.start,
            "stop": link.stop,
            "written": data[link.start : link.stop].decode(),
            "target": link.target.decode(),
            "broken": link.broken,
        }
        for link in text.scan(data)
    ]
    assert links == expected["links"]


def test_each_case_says_why_it_is_there() -> None:
    folders = [path for path in DOCUMENTS.iterdir() if path.is_dir()]
    assert len(folders) == len(cases("in.html")) + len(cases("in.txt"))
    assert all((folder / "README").read_text("utf-8").strip() for folder in folders)
