"""The page that shows a reader what is kept about them, and takes what they ask for. Not what a request does.

Whoever has the mail has its link, also somebody that it was forwarded to. So the page shows what the mail
itself shows, and what is kept in general: nothing that was stored of this reader. What was stored goes to
nobody by this page, and nothing is erased by it: it passes the wish on (docs/decisions/0034-readers-page.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engagement.settings import Settings
from engagement.settings.schema import PrivacyMode
from tracker_web.languages.catalogues import Language
from tracker_web.links.reader_page import ReaderPage, Shown, form

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """What this site keeps of readers. days: for how long. heeds: it has a list of objections."""

    mode: PrivacyMode = PrivacyMode.FULL
    truncated: bool = False
    days: int = 0
    heeds: bool = False


def retention_policy(settings: Settings) -> RetentionPolicy:
    """Return what a site keeps."""
    privacy = settings.privacy
    days = settings.store.retention // _DAY
    return RetentionPolicy(privacy.mode, privacy.truncate_addresses, days, bool(privacy.objections))


class AboutPage(ReaderPage):
    """The pages about what is kept, for one link in one language. sent: the day of the mail, ISO 8601."""

    def __init__(self, shown: Shown, language: Language, policy: RetentionPolicy, sent: str) -> None:
        super().__init__(shown, language)
        self._policy = policy
        self._given["sent"] = f"<time>{sent}</time>"

    def telling(self) -> bytes:
        """Return the page that says what is kept, with a button for each wish."""
        _ = self.language.gettext
        lines = "".join(f"<li>{self.put(each)}</li>\n" for each in self._lines())
        wishes = (
            form("object", self.put(_("Record nothing of me any more"))),
            form("export", self.put(_("Ask for a copy of what is stored about me"))),
            form("erase", self.put(_("Ask to erase what is stored about me"))),
        )
        shown = _("What is stored is not shown here: who got this mail forwarded has this link as well.")
        return self.whole(
            _("What is kept about you"),
            self.paragraph(_("This link is from a mail by {sender} to {recipient}, of {sent}.")),
            f"<ul>\n{lines}</ul>\n",
            self.paragraph(shown),
            *wishes,
        )

    def passed_on(self, wish: str) -> bytes:
        """Return the page behind a wish: "object", "export" or "erase"."""
        _ = self.language.gettext
        if wish == "object":
            title = _("Your objection is passed on")
            text = _(
                "Whether {recipient} opens mail or follows links will not be recorded any more, nor for mail "
                "that was sent before. Links go on leading where they should."
            )
            if not self._policy.heeds:
                text = _("It is with {sender} now, who sees to it. Links go on leading where they should.")
        elif wish == "export":
            title = _("Your wish is passed on")
            text = _("It is with {sender} now. The copy goes to {recipient} and to nobody else.")
        else:
            title = _("Your wish is passed on")
            text = _(
                "It is with {sender} now. What is stored about {recipient} is erased once it is certain that "
                "{recipient} wants it. You may be asked by mail."
            )
        return self.whole(title, self.paragraph(text))

    def busy(self) -> bytes:
        """Return the page for a wish that could not be recorded."""
        _ = self.language.gettext
        text = _("Nothing was changed. Please try again in some minutes.")
        return self.whole(_("That did not work"), self.paragraph(text))

    def _lines(self) -> Iterator[str]:
        _ = self.language.gettext
        mode = self._policy.mode
        if mode is PrivacyMode.OFF:
            yield _("That a mail was sent is recorded, not to whom. Nothing is recorded of opening it.")
        elif mode is PrivacyMode.HYGIENE:
            yield _("On which days pictures of the mail are loaded, under a pseudonym and no address.")
        elif mode is PrivacyMode.AGGREGATE:
            yield _("That pictures of a mailing are loaded and its links followed, but not by whom.")
        else:
            yield _("That mail was sent to {recipient}, with its subject, and whether it was delivered.")
            yield _("When pictures of the mail are loaded, and which of its links are followed.")
            yield (
                _("From which network, by which mail program or browser, and in which languages.")
                if self._policy.truncated
                else _(
                    "From which internet address, by which mail program or browser, and in which languages."
                )
            )
        yield _("That you want no more mail, if you say so. This is kept for as long as it has to be heeded.")
        if self._policy.days:
            days = self._policy.days
            text = self.language.ngettext(
                "Other records go after {days} day.", "Other records go after {days} days.", days
            )
            yield text.replace("{days}", str(days))
