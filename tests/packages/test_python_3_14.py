"""The parts in C with CPython 3.14, whose tuples keep their hash. The other tests: `make test-3.14`."""

import json
import subprocess
from pathlib import Path

import pytest

from packages.machines import ROOT

_UNPACKED = ROOT / ".test/python3.14/usr/bin/python3.14"
_PARTS = {
    "smtpapi.find._walk": "milter/smtpapi/find/_walk.c",
    "smtpapi.mime._quoted_printable": "milter/smtpapi/mime/_quoted_printable.c",
}
_SCRIPT = """
import json, sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
parts = json.loads(sys.argv[1])

class Built:
    def find_spec(self, name, path, target=None):
        return spec_from_file_location(name, parts[name]) if name in parts else None

sys.meta_path.insert(0, Built())
from smtpapi.find import _walk
from smtpapi.find.model import Anchor
from smtpapi.mime import _quoted_printable
from smtpapi.model.edit import Edit
assert [_walk.__file__, _quoted_printable.__file__] == list(parts.values())

anchors = []
page = b'<a href="http://x/"><area href=y data-msys-linkname="n" data-msys-unsubscribe="1">'
_walk.walk(page, 0, len(page), anchors, sys.maxsize, False, False)
edits = [Edit(0, 1, b"n", "link", b"t", "name"), Edit(2, 2, b"p" * 90, "pixel")]
placed = _quoted_printable.place(b"abc", edits, b"=\\n", Edit)
found = {"version": sys.version_info[:2], "kinds": [type(each).__name__ for each in (*anchors, *placed)]}
found["hashes"] = [hash(each) == hash((*each,)) for each in (*anchors, *placed)]
found["anchors"] = {Anchor(*each) for each in anchors} == set(anchors)
found["edits"] = {Edit(*each) for each in placed} == set(placed)
print(json.dumps(found))
"""


@pytest.mark.timeout(120)
def test_named_tuples_made_in_c_hash_as_their_values_do(tmp_path: Path) -> None:
    """`tp_alloc` leaves 0 as the hash there, which nobody computed."""
    python = _UNPACKED if _UNPACKED.exists() else Path("python3.14")
    ask = "import sysconfig; print(sysconfig.get_path('include'))"
    include = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    built = {name: tmp_path / f"{name.rpartition('.')[2]}.so" for name in _PARTS}
    for name, source in _PARTS.items():
        subprocess.run(
            ["gcc", "-std=c11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror",
             "-isystem", include, "-o", built[name], ROOT / source],
            check=True,
        )  # fmt: skip
    parts = json.dumps({name: str(path) for name, path in built.items()})
    done = subprocess.run(
        [python, "-c", _SCRIPT, parts],
        capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "milter")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"] == [3, 14]
    assert found["kinds"] == ["Anchor", "Anchor", "Edit", "Edit"]
    assert found["hashes"] == [True, True, True, True]
    assert found["anchors"]
    assert found["edits"]
