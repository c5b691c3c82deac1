"""Write the sample file and the reference page from the declarations.

`python -m engagement.settings.explain sample` prints etc/smtpapi.conf, `… reference` prints docs/settings.md.
A test compares the committed files with what this prints. Not what is in force in a given file: that is
`smtpapi check-config`.
"""

import sys
import textwrap
from collections.abc import Iterator

from engagement.settings import option_types
from engagement.settings.doc_text import REFERENCE_HEAD, SAMPLE_EXAMPLES, SAMPLE_HEAD, SCOPED_HEAD
from engagement.settings.option import Option, options_of
from engagement.settings.schema import SCOPED, STANZAS

_WIDTH = 96  # columns of the sample file
_OBVIOUS = frozenset(
    {option_types.boolean().expected, option_types.text().expected, option_types.path().expected}
)  # the options' names say enough
_GLOBAL = frozenset(
    {"relay_hosts", "local_submission", "suppression_action"}
)  # also valid outside all scopes


def sample() -> str:
    """Return the sample configuration: every option in its place, commented out, with its default."""
    return "\n".join(_sample()) + "\n"


def _sample() -> Iterator[str]:
    yield from _prose(SAMPLE_HEAD, "")
    yield ""
    for name, stanza in STANZAS.items():
        # a stanza without a use yet would only make a notice
        mark = "#" if name == "cassandra_client" else ""
        yield ""
        yield from _prose(_first(stanza), "")
        yield f"{mark}{name} {{"
        for option in options_of(stanza):
            yield from _commented(option)
        yield f"{mark}}}"
    for option in SCOPED.values():
        if option.name in _GLOBAL:
            yield ""
            yield from _commented(option, "")
    yield ""
    yield from _prose(SCOPED_HEAD, "")
    yield "ESMTP_Listener {"
    for option in SCOPED.values():
        if option.name not in _GLOBAL:
            yield from _commented(option)
    yield "}"
    yield ""
    yield from SAMPLE_EXAMPLES.strip("\n").split("\n")


def _commented(option: Option, indent: str = "    ") -> Iterator[str]:
    if indent:
        yield ""
    yield from _prose(option.help, indent)
    if option.kind.expected not in _OBVIOUS:
        yield from _prose(f"Value: {option.kind.expected}", indent)
    if option.example is not None:
        yield from _prose(f"Example: {option.kind.show(option.example)}", indent)
    yield f"{indent}#{option.title} = {option.written}"


def _prose(text: str, indent: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip("\n").split("\n\n")):
        if number:
            yield f"{indent}#"
        lines = textwrap.wrap(paragraph, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
        yield from (f"{indent}# {line}" for line in lines)


def reference() -> str:
    """Return the reference page as Markdown."""
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    yield from REFERENCE_HEAD.strip("\n").split("\n")
    yield ""
    yield "## Options of scopes"
    yield ""
    yield from textwrap.wrap(SCOPED_HEAD, 110)
    for option in SCOPED.values():
        yield from _entry(option)
    for name, stanza in STANZAS.items():
        yield ""
        yield f"## {name} {{ }}"
        yield ""
        yield from textwrap.wrap(_first(stanza), 110)
        for option in options_of(stanza):
            yield from _entry(option)


def _entry(option: Option) -> Iterator[str]:
    yield ""
    yield f"### {option.title}"
    yield ""
    yield from textwrap.wrap(option.help, 110, break_on_hyphens=False)
    yield ""
    yield f"* value: {option.kind.expected}"
    yield f"* default: `{option.written}`"
    if option.example is not None:
        yield f"* example: `{option.title} = {option.kind.show(option.example)}`"
    if option.scopes:
        yield f"* valid in: {', '.join(option.scopes)}"
    if option.aliases:
        yield f"* also read, with a warning: {', '.join(option.aliases)}"
    yield f"* since: {option.since}"


def _first(stanza: type) -> str:
    assert stanza.__doc__
    return " ".join(stanza.__doc__.split())


def main(arguments: list[str]) -> int:
    """Print one of the two pages. Return the exit status, 2 for an unknown page."""
    pages = {"sample": sample, "reference": reference}
    if len(arguments) != 1 or arguments[0] not in pages:
        sys.stderr.write("usage: python -m engagement.settings.explain sample|reference\n")
        return 2
    sys.stdout.write(pages[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
