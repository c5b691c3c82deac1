"""Where the rules of svg and math apply, which change how tokens are read (WHATWG HTML 13.2.6.5).

Inside svg and math, `<style>` and `<title>` hold markup and not raw text, and `<![CDATA[…]]>` is text.

Not the whole tree: only a stack of the open svg, math and integration points. Where markup is so broken that
only the whole tree could decide, the nearest plausible end is taken.
"""

import re
from typing import Final

from smtpapi.find.html_syntax import markup
from smtpapi.mime.deadline import CheckTime, no_deadline

ROOTS: Final = (b"svg", b"math")

# The next token, whatever it is; an empty group 1 is a bogus comment, a doctype or a bare "<".
TOKEN: Final = re.compile(rb"[^<]*+(?:<(!--|!\[CDATA\[|/?[A-Za-z][^ \t\n\f\r/>]*+|))?")

_POINTS: Final = {
    b"svg": frozenset((b"foreignobject", b"desc", b"title")),
    b"math": frozenset((b"mi", b"mo", b"mn", b"ms", b"mtext")),
}
_BREAK_OUT: Final = frozenset(
    b"b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing"
    b" menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var /br /p".split()
)
# End tags of HTML's elements. They close svg and math too if such an element is open around them, which only
# the whole tree knows. They are taken to do so: an unclosed svg is likelier than a stray end tag.
_OF_HTML: Final = frozenset(b"/" + name for name in _BREAK_OUT if name[:1] != b"/") | frozenset(
    b"/address /article /aside /body /button /caption /fieldset /form /footer /header /html /label /main /nav"
    b" /object /section /select /tbody /td /tfoot /th /thead /tr"
    b" /abbr /acronym /bdi /bdo /cite /del /details /dfn /dialog /dir /figcaption /figure /font /hgroup /ins"
    b" /kbd /legend /map /mark /marquee /noscript /optgroup /option /output /picture /q /rb /rp /rt /samp"
    b" /summary /time".split()
)
_LEAVE_OPEN: Final = frozenset((b"/body", b"/html"))
# Each end tag searches the stack, so its depth is bounded. Only hostile markup nests deeper; the number is a
# guess.
_DEEPEST: Final = 64
_FONT: Final = frozenset((b"color", b"face", b"size"))
_XHTML: Final = frozenset((b"text/html", b"application/xhtml+xml"))


class Foreign:
    """The stack of open foreign elements: `inside` says whether the next token is read by their rules.

    lost: the markup was so broken that only the whole tree could decide that.
    """

    __slots__ = ("_check_time", "_links", "_open", "lost")

    def __init__(self, check_time: CheckTime = no_deadline) -> None:
        self._check_time = check_time
        self._open: list[tuple[bytes, bytes]] = []  # name, and the root that gives its namespace
        self._links = 0  # open `a` elements of svg
        self.lost = False

    def inside(self) -> bool:
        """Return whether the innermost open element is svg or math, and not an integration point."""
        return bool(self._open) and self._open[-1][0] in ROOTS

    def __bool__(self) -> bool:
        return bool(self._open)

    def tag(self, name: bytes, data: bytes, start: int, stop: int) -> bool:
        """Record a tag, and return whether HTML's own rules apply to it.

        name: in lower case, with "/" before that of an end tag. data[start:stop]: its attributes and the ">".
        Raises whatever `check_time` raises.
        """
        if not self.inside():
            if name in ROOTS:
                self._push(name, name, data, stop)
                return False
            self._close(name)
            return True
        if name in _BREAK_OUT or (name == b"font" and self._has(data, start, stop, _FONT)):
            while self.inside():
                self._open.pop()
            self.lost |= name[:1] == b"/"  # by older versions of the standard it closes nothing
            return True
        namespace = self._open[-1][1]
        if name == b"a":
            self._links += 1
        if name[:1] == b"/":
            self._close(name)
            if name == b"/a" and self._links:
                self._links -= 1
            elif name in _OF_HTML or name == b"/a":
                self.lost = True
                if name not in _LEAVE_OPEN:
                    self._open.clear()
                    return True
        elif (
            name in ROOTS
            or name in _POINTS[namespace]
            or (name == b"annotation-xml" and namespace == b"math" and self._is_xhtml(data, start, stop))
        ):
            self._push(name, namespace, data, stop)
        return False

    def _push(self, name: bytes, namespace: bytes, data: bytes, stop: int) -> None:
        if data[stop - 2] != 0x2F and len(self._open) < _DEEPEST:
            self._open.append((name, namespace))

    def _close(self, tag: bytes) -> None:
        name = tag[1:]
        if tag[:1] == b"/" and any(opened == name for opened, _ in self._open):
            while self._open.pop()[0] != name:
                pass

    def _has(self, data: bytes, start: int, stop: int, names: frozenset[bytes]) -> bool:
        return any(
            found[1].lower() in names for found in markup.attributes(data, start, stop, self._check_time)
        )

    def _is_xhtml(self, data: bytes, start: int, stop: int) -> bool:
        for found in markup.attributes(data, start, stop, self._check_time):
            if found[1].lower() == b"encoding":
                return found[found.lastindex or 1].lower() in _XHTML
        return False
