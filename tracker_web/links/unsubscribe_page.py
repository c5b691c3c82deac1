"""The pages on which a reader leaves a list: what they say. Not what a request does."""

from html import escape

from tracker_web.languages.catalogues import Language
from tracker_web.links.reader_page import ReaderPage, Shown, form

ABOUT = "about"  # the query of the page that says what is kept


class UnsubscribePage(ReaderPage):
    """The pages to leave a list by, for one link in one language."""

    def __init__(self, shown: Shown, language: Language) -> None:
        super().__init__(shown, language)
        self._target = shown.target
        self._list = bool(shown.list_name)

    def asking(self) -> bytes:
        """Return the page that asks, with a button for each choice."""
        _ = self.language.gettext
        if self._list:
            choices = (
                self.paragraph(_("The list: {list}")),
                form("list", self.put(_("Unsubscribe from this list only"))),
                form("all", self.put(_("Unsubscribe from all mail of {sender}"))),
            )
        else:
            choices = ("", "", form("all", self.put(_("Unsubscribe from mail of {sender}"))))
        stays = _("Mail that you ask for yourself, such as about an order or a password, still comes.")
        about = f'<p><a href="?{ABOUT}">{self.put(_("What is kept about you"))}</a></p>\n'
        asks = self.paragraph(_("Shall {recipient} get no more of this mail?"))
        return self.whole(_("Unsubscribe"), asks, *choices, self.paragraph(stays), about, self._onward())

    def done(self, of_list: bool, undo: str) -> bytes:
        """Return the page behind it. of_list: that list alone was left. undo: the query that undoes it."""
        _ = self.language.gettext
        text = (
            _("{recipient} gets no more mail of the list {list}.")
            if of_list
            else _("{recipient} gets no more mail of {sender}, but for mail that you ask for yourself.")
        )
        again = self.paragraph(_("Was it a mistake? For ten minutes you can take it back here."))
        back = form(undo, self.put(_("Stay subscribed")))
        return self.whole(_("You are unsubscribed"), self.paragraph(text), again, back, self._onward())

    def undone(self) -> bytes:
        """Return the page that says that nothing is changed any more."""
        _ = self.language.gettext
        return self.whole(_("You stay subscribed"), self.paragraph(_("{recipient} gets mail as before.")))

    def late(self) -> bytes:
        """Return the page for an undo that comes too late."""
        _ = self.language.gettext
        text = _("The ten minutes are over. Ask {sender} if you want the mail again.")
        return self.whole(_("This cannot be taken back here any more"), self.paragraph(text))

    def busy(self) -> bytes:
        """Return the page for a wish that could not be recorded."""
        _ = self.language.gettext
        text = _("Nothing was changed. Please try again in some minutes.")
        return self.whole(_("That did not work"), self.paragraph(text))

    def _onward(self) -> str:
        if not self._target:
            return ""
        onward = self.put(self.language.gettext("Go on to the page of {sender}"))
        return f'<p><a href="{escape(self._target)}" rel="noreferrer">{onward}</a></p>\n'
