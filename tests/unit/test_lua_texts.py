"""What policies call to encode texts (smtpapi.policy.lua.library.texts)."""

import pytest

from smtpapi.policy.lua.library.texts import coded


@pytest.mark.parametrize(("size", "lines"), [(0, 0), (57, 1), (58, 2), (200, 4)])
def test_base64_comes_in_lines_where_that_is_asked_for(size: int, lines: int) -> None:
    text = bytes(range(size))
    whole = coded("base64.encode", text, b"")
    folded = coded("base64.encode", text, b"true")
    assert b"\n" not in whole
    assert folded.replace(b"\r\n", b"") == whole
    assert len(folded.splitlines()) == lines
    assert all(len(line) <= 76 for line in folded.splitlines())
    assert coded("base64.decode", folded, b"") == text
