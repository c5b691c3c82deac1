"""The pages with the events: their listener and who may open them."""

from dataclasses import dataclass

from engagement.settings import option_types
from engagement.settings.option import declared
from engagement.settings.schema.modes import SeenBy


@dataclass(frozen=True, slots=True)
class WebStanza:
    """The program that shows the events to whoever has its token, apart from the tracker."""

    listen: str = declared(
        option_types.http_listen(),
        "127.0.0.1:8090",
        "Address and port of the pages. They show recipients: keep it on loopback, behind a proxy with TLS.",
    )
    hosts: tuple[str, ...] = declared(
        option_types.hosts(),
        (),
        "Host names under which a proxy shows the pages, besides loopback's and the listen address.",
        example=("events.example.com",),
    )
    token_file: str = declared(
        option_types.path(),
        "/var/lib/smtpapi/web-token",
        "File of the token that opens the pages, mode 0600; made at the first start.",
    )
    login_header: str = declared(
        option_types.text(), "",
        "Header field in which a proxy of tracker { trusted_proxies } names the user who signed in there, as "
        "Authelia and oauth2-proxy do. The user must be one of `smtpapi user`. Empty: none is believed. "
        "Every program that reaches web.listen from a trusted address can name a user.",
        example="Remote-User",
    )  # fmt: skip
    recipients_seen_by: SeenBy = declared(
        option_types.member(SeenBy),
        SeenBy.LOOKS,
        "The least of the users' roles that sees recipients. To others pages and exports show events without "
        "addresses of recipients and readers, and there is no search for one.",
    )
