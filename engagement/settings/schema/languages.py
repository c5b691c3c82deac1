"""Declaration of the stanza of languages: of the pages, and of what readers see."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared


@dataclass(frozen=True, slots=True)
class LanguagesStanza:
    """Languages of the pages and of what readers of mail see (docs/languages.md)."""

    default: str = declared(
        option_types.text("a language's code", empty=False),
        "en",
        "For who wants none that is there. English and German come with the package.",
        example="de",
    )
    folder: str = declared(
        option_types.path(),
        "",
        "Folder with more languages, or other words for those that are there: CODE/pages.po for the pages, "
        "CODE/readers.po for readers. Read at the start. Empty: none.",
        example="/etc/smtpapi/languages",
    )
