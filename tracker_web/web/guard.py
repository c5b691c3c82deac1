"""Lets requests through to the pages of who signed in, wherever they come from. Raw WSGI, no page.

A client address proves nothing behind a proxy, so none gives access. A request must be sent to one of this
program's names (which shuts out web sites whose name was pointed here, DNS rebinding), and carry a session's
cookie, or the token: as `Authorization: Bearer`, or once as `?token=`, which is exchanged for a cookie and
removed from the URL. A session begins with the token, with a name and password, or where a trusted proxy
names a user. Nothing here is logged, and no answer repeats what was sent.

Paths of the HTTP API are passed on as they come: `tracker_web.api.access` lets none through without a key. No
browser sends a key by itself, so neither cookie nor host name matters there.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Semaphore
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from engagement.access.sessions import LIFETIME, Session, Sessions
from engagement.access.users import LONGEST_NAME, Role, Users
from engagement.events.addresses import truncated
from engagement.registry.port import RegistryError
from tracker_web.languages.catalogues import Language, Languages
from tracker_web.languages.choice import cookie
from tracker_web.links.client_address import Proxies, host_name
from tracker_web.web import device_cookie
from tracker_web.web.failures import Failures
from tracker_web.web.guard_answers import HTML, NO_REGISTRY, NOT_FOUND, SLOWER, answer, form, unknown

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_API: Final = "/api"
SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
SESSION: Final = "smtpapi.session"  # where a request's environment has its Session
_LONGEST_FORM: Final = 4096  # bytes; a token has 43 characters, a password 256 at most
_VERIFIED_AT_ONCE: Final = 2  # passwords: each takes 64 MiB and a core for a moment (RFC 9106 4)
_ROOT: Final = Session("the token", Role.ADMINISTERS, "", "", 0)  # who has the token runs this machine


def is_api(path: str) -> bool:
    """Return whether a path is one of the HTTP API."""
    return path == _API or path.startswith(f"{_API}/")


class Guard:
    """The application `pages` for requests of who signed in.

    api: answers the paths of the API. hosts: names that requests may be sent to, as `host_name` returns them.
    port: a part of the cookie's name, as all ports of a host share its cookies. people: returns users and
    sessions; it raises RegistryError. login_header: the field in which a trusted proxy names the user, "" for
    none. languages: of the form to sign in. clock: returns Unix seconds.
    """

    def __init__(
        self,
        pages: "WSGIApplication",
        *,
        api: "WSGIApplication",
        token: str,
        hosts: frozenset[str],
        proxies: Proxies,
        port: int,
        people: Callable[[], tuple[Users, Sessions]],
        login_header: str = "",
        languages: Languages,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pages = pages
        self._api = api
        self._token = token.encode("ascii")
        self._hosts = hosts
        self._proxies = proxies
        self._cookie = f"smtpapi_session_{port}"
        self._device_cookie = f"smtpapi_device_{port}"
        self._people = people
        self._header = "HTTP_" + login_header.upper().replace("-", "_") if login_header else ""
        self._languages = languages
        self._clock = clock
        self._failures = Failures(clock)
        self._verifying = Semaphore(_VERIFIED_AT_ONCE)
        self._key = hashlib.sha256(b"smtpapi web session\0" + self._token).digest()

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer one request, or pass it on."""
        if is_api(environ["PATH_INFO"]):
            return self._api(environ, start)
        if host_name(environ.get("HTTP_HOST", "")) not in self._hosts:
            return answer(start, "404 Not Found", NOT_FOUND)
        try:
            return self._guarded(environ, start)
        except RegistryError:
            return answer(
                start, "503 Service Unavailable", self._text(NO_REGISTRY, environ), ("Retry-After", "5")
            )

    def _guarded(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == SIGN_IN:
            return self._sign_in(environ, start)
        pairs = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=None)
        offered = [value for name, value in pairs if name == "token"]
        if offered and method in ("GET", "HEAD"):
            rest = [pair for pair in pairs if pair[0] != "token"]
            to = "/" + quote(path.lstrip("/\\"), safe="/", encoding="latin-1")
            return self._exchange(offered[-1], to + ("?" + urlencode(rest) if rest else ""), environ, start)
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            refused = self._refused(bearer.strip(), environ, start)
            return self._pass_on(_ROOT, environ, start) if refused is None else refused
        session = self._session(environ)
        if session is None:
            return unknown(start, self._form(environ))
        if path == SIGN_OUT:
            return self._sign_out(session, environ, start)
        return self._pass_on(session, environ, start)

    def _pass_on(
        self, session: Session, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        environ[SESSION] = session
        return self._pages(environ, start)

    def _sign_in(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return answer(start, "200 OK", self._form(environ), media_type=HTML)
        form = _form(environ)
        if environ["REQUEST_METHOD"] != "POST" or form is None:
            return answer(start, "400 Bad Request", b"Bad Request\n")
        name, password = form.get("name", "").strip(), form.get("password", "")
        if not name:
            return self._exchange(form.get("token", ""), "/", environ, start)
        counted = self._counted(environ, name)
        wait = max(map(self._failures.wait, counted))
        if wait > 0:  # other than a token a password can be guessed: the right one waits as well
            return answer(
                start,
                "429 Too Many Requests",
                self._text(SLOWER, environ),
                ("Retry-After", str(int(wait) + 1)),
            )
        users, sessions = self._people()
        with self._verifying:
            user = users.signed_in(name, password)
        if user is None:
            for each in counted:
                self._failures.add(each)
            return unknown(start, self._form(environ))
        for each in counted:
            self._failures.forget(each)
        sessions.end(self._value(environ)[1:])  # a cookie that was planted, or that of before, ends here
        made = device_cookie.make(self._key, user.name)
        device = f"{self._device_cookie}={made}; Path={SIGN_IN}; Max-Age={device_cookie.DAYS * 86_400}"
        return self._signed_in(f"u{sessions.start(user)}", "/", environ, start, device)

    def _counted(self, environ: "WSGIEnvironment", name: str) -> tuple[str, ...]:
        """Return by what wrong passwords for a name are counted.

        By the client's address and by the name; of a browser that the user signed in with before by that
        alone, so that strangers cannot keep the user out.
        """
        sent = cookie(environ.get("HTTP_COOKIE", ""), self._device_cookie)
        if device := device_cookie.device_of(self._key, name, sent):
            return (f"device {device}",)
        return self._address(environ), f"name {name.lower()[:LONGEST_NAME]}"

    def _sign_out(
        self, session: Session, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        form = _form(environ) or {}
        if environ["REQUEST_METHOD"] != "POST" or not same(form.get("form", ""), session.form):
            return answer(start, "400 Bad Request", b"Bad Request\n")
        value = self._value(environ)
        if value.startswith("u"):
            self._people()[1].end(value[1:])
        gone = f"{self._cookie}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        return answer(start, "303 See Other", b"", ("Location", SIGN_IN), ("Set-Cookie", gone))

    def _exchange(
        self, offered: str, to: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes]:
        """Exchange a token for a session's cookie, and redirect to the URL without it."""
        refused = self._refused(offered.strip(), environ, start)
        if refused is not None:
            return refused
        until = str(int(self._clock()) + LIFETIME)
        return self._signed_in(f"{until}.{self._signature(until)}", to, environ, start)

    def _signed_in(
        self, value: str, to: str, environ: "WSGIEnvironment", start: "StartResponse", *more: str
    ) -> Iterable[bytes]:
        """Redirect with a session's cookie. more: other cookies, with their path and age."""
        common = "; HttpOnly; SameSite=Strict"
        if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
            common += "; Secure"
        cookies = (f"{self._cookie}={value}; Path=/; Max-Age={LIFETIME}", *more)
        fields = [("Set-Cookie", each + common) for each in cookies]
        return answer(start, "303 See Other", b"", ("Location", to), *fields)

    def _refused(
        self, offered: str, environ: "WSGIEnvironment", start: "StartResponse"
    ) -> Iterable[bytes] | None:
        """Return the answer to a wrong token; None for the right one.

        The right one is accepted whatever came before from that address, which may be that of a proxy that
        strangers use, too. The token has 256 bits: guesses are slowed to spare this machine, not to protect
        the token.
        """
        address = self._address(environ)
        if hmac.compare_digest(offered.encode("utf-8", "replace"), self._token):
            self._failures.forget(address)
            return None
        wait = self._failures.wait(address)
        if wait > 0:
            return answer(
                start,
                "429 Too Many Requests",
                self._text(SLOWER, environ),
                ("Retry-After", str(int(wait) + 1)),
            )
        self._failures.add(address)
        return unknown(start, self._form(environ))

    def _form(self, environ: "WSGIEnvironment") -> bytes:
        """Return the form to sign in, in the language of a request."""
        return form(self._language(environ))

    def _text(self, text: str, environ: "WSGIEnvironment") -> bytes:
        return f"{self._language(environ).gettext(text)}\n".encode()

    def _language(self, environ: "WSGIEnvironment") -> Language:
        return self._languages.of_request(environ)

    def _address(self, environ: "WSGIEnvironment") -> str:
        client = self._proxies.client(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR"))
        return truncated(client)

    def _session(self, environ: "WSGIEnvironment") -> Session | None:
        """Return the session of a request, None for none."""
        value = self._value(environ)
        until, _, signature = value.partition(".")
        if until.isascii() and until.isdigit() and len(until) < 12:
            right = same(signature, self._signature(until)) and int(until) > self._clock()
            return replace(_ROOT, form=self._signature(f"form {value}")) if right else None
        if value.startswith("u"):
            return self._people()[1].find(value[1:])
        name = environ.get(self._header, "") if self._header else ""
        if name and self._proxies.trust(environ.get("REMOTE_ADDR", "")):
            user = self._people()[0].get(name.strip())
            if user is not None:
                form = self._signature(f"form {user.name}")
                return Session(user.name, user.role, user.tenant, form, 0)
        return None

    def _value(self, environ: "WSGIEnvironment") -> str:
        """Return the value of our cookie, "" for none."""
        return cookie(environ.get("HTTP_COOKIE", ""), self._cookie)

    def _signature(self, until: str) -> str:
        made = hmac.digest(self._key, until.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(made).decode("ascii").rstrip("=")


def same(offered: str, right: str) -> bool:
    """Return whether two secrets are the same, in a time that does not depend on how far they are."""
    return hmac.compare_digest(offered.encode("utf-8", "replace"), right.encode("utf-8", "replace"))


def _form(environ: "WSGIEnvironment") -> dict[str, str] | None:
    """Return the fields of a form, None for what is too long, or has too many, to be one of these."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _LONGEST_FORM:
        return None
    text = environ["wsgi.input"].read(int(length)).decode("latin-1")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=20))
    except ValueError:  # more fields
        return None
