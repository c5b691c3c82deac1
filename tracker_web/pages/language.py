"""The language of each page: set before it is made, and chosen by a form that every page has."""

from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, Flask, current_app, request
from flask.typing import ResponseReturnValue

from engagement.access.users import Role
from tracker_web.languages import translation
from tracker_web.languages.catalogues import COOKIE, Language, Languages, named
from tracker_web.pages import site

_EXTENSION: Final = "smtpapi_languages"
_YEAR: Final = 365 * 86_400  # seconds that a choice is remembered


def prepare(app: Flask, languages: Languages) -> None:
    """Give templates gettext's functions, and each request its language."""
    app.extensions[_EXTENSION] = languages
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined] # the extension's
        lambda text: translation.current().texts.gettext(text),
        lambda one, many, number: translation.current().texts.ngettext(one, many, number),
        newstyle=True,
        pgettext=lambda context, text: translation.current().texts.pgettext(context, text),
    )
    app.jinja_env.globals.update(language=translation.current, languages=_offered)

    @app.before_request
    def speak() -> None:
        translation.use(languages.of_request(request.environ))


def blueprint() -> Blueprint:
    """Return what the form that chooses a language sends to."""
    pages = Blueprint("language", __name__, url_prefix="/language")

    @pages.post("")
    def choose() -> ResponseReturnValue:
        """Keep a language in a cookie, and go back to the page that asked."""
        site.checked_form(Role.LOOKS)
        answer = site.go_to(_ours(request.form.get("back", "")))
        code = request.form.get("language", "")
        if code in _all().every:
            answer.set_cookie(COOKIE, code, max_age=_YEAR, httponly=True, samesite="Lax")
        else:
            answer.delete_cookie(COOKIE)
        return answer

    return pages


def _all() -> Languages:
    found: Languages = current_app.extensions[_EXTENSION]
    return found


def _offered() -> list[tuple[Language, str]]:
    """Return each language and its name in itself."""
    return [(each, named(each)) for each in _all().every.values()]


def _ours(back: str) -> str:
    """Return the path and query of a page of ours; "/" for what could lead elsewhere."""
    parts = urlsplit(back)
    elsewhere = parts.scheme or parts.netloc or not back.startswith("/") or back[1:2] in ("/", "\\")
    return "/" if elsewhere or not back.isprintable() else back
