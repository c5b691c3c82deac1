"""Kept copies in the registry: facts and HTML in documents of their own, so that facts are read quickly."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from engagement.html_copies.folder import is_of
from engagement.html_copies.model import (
    BadCopyError,
    HtmlCopy,
    campaign_key,
    from_facts,
    html_of,
    to_body,
    to_facts,
)
from engagement.registry.port import Document, Registry

KIND: Final = "kept_html"
BODY: Final = "kept_html_body"
FORMS: Final = 4  # of one campaign: a letter in two languages, each in two versions. The newest stay
MOST: Final = 500  # of all campaigns, some 30 MB as packed; beyond, the oldest goes
_PAGE: Final = 500  # documents of one read


class CopyBook:
    """The copies of a registry. Every method raises RegistryError where that fails."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def of_campaign(self, campaign: str, tenant: str, now_ms: int) -> tuple[HtmlCopy, ...]:
        """Return the copies of a campaign that are not over, the newest first, without their HTML."""
        found = [copy for _, copy in self._all(f"{campaign_key(tenant, campaign)}/") if copy is not None]
        mine = [
            copy
            for copy in found
            if copy.campaign == campaign and copy.tenant == tenant and copy.until_ms > now_ms
        ]
        return tuple(sorted(mine, key=lambda copy: copy.at_ms, reverse=True))

    def is_empty(self) -> bool:
        """Return whether there is no copy."""
        return next(self._all(""), None) is None

    def html(self, copy: HtmlCopy) -> str | None:
        """Return the HTML of a copy, None where it is gone."""
        document = self.registry.get(BODY, copy.key)
        try:
            return html_of(document.data) if document else None
        except BadCopyError:
            return None

    def add(self, copy: HtmlCopy, now_ms: int) -> bool:
        """Store a copy unless there is one of its key; return whether that was done."""
        there = self.registry.get(KIND, copy.key)
        if there is not None and self.registry.get(BODY, copy.key) is not None and not _over(there, now_ms):
            return False
        others = [one for one in self.of_campaign(copy.campaign, copy.tenant, now_ms) if one.key != copy.key]
        self.registry.put(KIND, copy.key, to_facts(replace(copy, html="")))
        self.registry.put(BODY, copy.key, to_body(copy))
        for old in others[FORMS - 1 :]:
            self.remove(old.key)
        every = [one for _, one in self._all("") if one is not None]
        for old in sorted(every, key=lambda one: one.at_ms, reverse=True)[MOST:]:
            self.remove(old.key)
        return True

    def remove(self, key: str) -> None:
        """Remove a copy; the HTML first, which names a person."""
        self.registry.delete(BODY, key)
        self.registry.delete(KIND, key)

    def remove_where(self, ends: Callable[[HtmlCopy], bool]) -> int:
        """Remove the copies of which a question holds, and what is none; return how many."""
        gone = [key for key, copy in self._all("") if copy is None or ends(copy)]
        for key in gone:
            self.remove(key)
        return len(gone)

    def erase(self, recipient: str, tenant: str = "") -> int:
        """Remove the copies of a recipient's mail; return how many. tenant: only its own, "" for all."""
        return self.remove_where(lambda copy: is_of(copy, recipient, tenant))

    def _all(self, prefix: str) -> Iterator[tuple[str, HtmlCopy | None]]:
        after = ""
        while True:
            page = self.registry.find(KIND, prefix, after, _PAGE)
            for document in page:
                try:
                    yield document.key, from_facts(document.data)
                except BadCopyError:
                    yield document.key, None
            if len(page) < _PAGE:
                return
            after = page[-1].key


def _over(document: Document, now_ms: int) -> bool:
    try:
        return from_facts(document.data).until_ms <= now_ms
    except BadCopyError:
        return True
