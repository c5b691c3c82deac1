"""Where a URL ends that stands in running text: brackets, quotation marks and the sentence's own punctuation.

Not which bytes a URL may hold: that is `text`'s expression, whose match is handed in here.
"""

from typing import Final

_CLOSES: Final = {0x29: 0x28, 0x5D: 0x5B, 0x7D: 0x7B}  # ) ] }
_OPENS: Final = frozenset(_CLOSES.values())
_TRAILING: Final = frozenset(b".,;:!?'\"|^")
_EMPHASIS: Final = frozenset(b"*_~")  # taken off the end if the same mark stands before the URL


def url_length(data: bytes, start: int, run: int, *, trim: bool) -> tuple[int, bool]:
    """(end of the URL that begins at start within data[start:run], whether that end is certain).

    A bracket that the URL does not open ends it: for certain where nothing but punctuation follows, or where
    its partner stands right before the URL. trim: leave trailing punctuation out.
    """
    before = data[start - 1] if start else 0
    if before == 0x27:  # 'http://…'
        quote = data.find(b"'", start, run)
        if quote >= 0:
            run = quote
    unbalanced = _first_unbalanced(data, start, run)
    certain = True
    if unbalanced >= 0:
        own = before == _CLOSES[data[unbalanced]]
        certain = own or _only_punctuation(data, unbalanced, run)
        if certain:
            run = unbalanced
    return (_without_trailing(data, start, run, before) if trim and certain else run), certain


def _first_unbalanced(data: bytes, start: int, stop: int) -> int:
    opened: list[int] = []
    for place in range(start, stop):
        byte = data[place]
        if byte in _OPENS:
            opened.append(byte)
        elif byte in _CLOSES:
            if not opened or opened[-1] != _CLOSES[byte]:
                return place
            opened.pop()
    return -1


def _only_punctuation(data: bytes, start: int, stop: int) -> bool:
    return all(byte in _TRAILING or byte in _CLOSES or byte in _EMPHASIS for byte in data[start:stop])


def _without_trailing(data: bytes, start: int, stop: int, before: int) -> int:
    while stop > start:
        last = data[stop - 1]
        if last not in _TRAILING and not (last in _EMPHASIS and last == before):
            break
        stop -= 1
    return stop
