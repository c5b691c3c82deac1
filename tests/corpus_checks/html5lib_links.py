"""The second opinion: the link values html5lib's tokenizer sees while its tree builder steers it.

The tokens, not the tree: the tree clones misnested anchors and drops what a select or frameset may not hold.
"""

from typing import Any

import html5lib
from html5lib.constants import tokenTypes

ASCII_SPACE = " \t\n\f\r"


class _Recorder(html5lib.HTMLParser):
    """Notes the href of each `a`, and of each `area` that is an HTML element."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def mainLoop(self) -> None:  # noqa: N802 - html5lib's name
        tokenizer: Any = self.tokenizer
        emit = tokenizer.emitCurrentToken

        def note_and_emit() -> None:
            token = tokenizer.currentToken
            if token["type"] == tokenTypes["StartTag"]:
                self._note(token["name"].lower(), token["data"])
            emit()

        tokenizer.emitCurrentToken = note_and_emit
        super().mainLoop()

    def _note(self, name: str, attributes: list[list[str]]) -> None:
        if name != "a" and (name != "area" or self._in_foreign_content()):
            return
        for attribute, value in attributes:
            if attribute.lower() == "href":
                self.hrefs.append(value.strip(ASCII_SPACE))
                break

    def _in_foreign_content(self) -> bool:
        if not self.tree.openElements:
            return False
        node: Any = self.tree.openElements[-1]
        return (
            node.namespace != self.tree.defaultNamespace
            and not self.isHTMLIntegrationPoint(node)
            and not self.isMathMLTextIntegrationPoint(node)
        )


def hrefs(document: str) -> list[str]:
    """All of them, decoded and trimmed, in order; line ends are LF and NUL is U+FFFD, as html5lib has it."""
    recorder = _Recorder()
    recorder.parse(document)
    return recorder.hrefs


def as_html5lib_reads(target: bytes) -> str:
    """One of our targets, in the same form."""
    text = target.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.strip(ASCII_SPACE)


def is_http(target: str) -> bool:
    """Whether it is worth a comparison: a link of the web."""
    return target.lower().startswith(("http:", "https:"))
