"""Declarations of the options whose value depends on listener and client (contract.md 1.1, 1.3).

Not which scope wins (`scopes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from types import MappingProxyType

from engagement.settings import option_types
from engagement.settings.option import declared
from engagement.settings.option_types.networks import Network
from engagement.settings.schema.modes import SuppressionAction

TRACKING_SCOPES = ("esmtp_listener", "listen", "pathway", "pathway_group", "peer")
DEFAULT_DOMAIN = "localhost:8080"
VENDORS = ("sendgrid", "mailgun", "postmark", "ses", "mandrill", "mailjet", "sparkpost")
_LISTENER_SCOPES = ("esmtp_listener", "listen", "peer")
_DAY = 86400
_SMALLEST, _LARGEST = -(2**62), 2**62  # Momentum takes any integer; sums with a time must still fit 64 bits


@dataclass(frozen=True, slots=True)
class ScopedOptions:
    """The options of scopes: each has the value of the narrowest scope that sets it (contract.md 1.3).

    As the declarations, and as the values in force for one connection (`scopes.Scoped.options`).
    """

    click_tracking_enabled: bool = declared(
        option_types.boolean(),
        False,
        "Whether links in the text and HTML parts are tracked.",
        scopes=TRACKING_SCOPES,
    )
    click_tracking_scheme: str = declared(
        option_types.scheme(),
        "http",
        "Scheme of click links: http or https. AMP parts need https.",
        scopes=TRACKING_SCOPES,
    )
    open_tracking_enabled: bool = declared(
        option_types.boolean(),
        False,
        "Whether the HTML part gets a pixel that reports opens.",
        scopes=TRACKING_SCOPES,
    )
    open_tracking_scheme: str = declared(
        option_types.scheme(), "http", "Scheme of the pixel's URL: http or https. AMP parts need https.",
        scopes=TRACKING_SCOPES,
    )  # fmt: skip
    tracking_domain: str = declared(
        option_types.tracking_domain(),
        DEFAULT_DOMAIN,
        "Host, optionally with :port, of all links; it must lead to the web tracker. The default is unfit "
        "for production.",
        scopes=TRACKING_SCOPES,
        example="track.example.com",
    )
    tracking_link_expiry: int = declared(
        option_types.integer(_SMALLEST, _LARGEST, expected="a whole number of seconds"),
        365 * _DAY,
        "How long after sending a click or open is still recorded (365 days). Expired links still take their "
        "reader to the target. Zero or less: never record.",
        scopes=TRACKING_SCOPES,
    )
    initial_open_tracking_enabled: bool = declared(
        option_types.boolean(),
        False,
        "Whether a second pixel stands at the top of the HTML part, so that mail which a reader's program "
        "cuts off still reports an open. Needs open_tracking_enabled.",
        scopes=TRACKING_SCOPES,
    )
    list_unsubscribe_enabled: bool = declared(
        option_types.boolean(),
        False,
        "Whether mail that is not transactional and has no List-Unsubscribe of its own gets one for one "
        "click (RFC 8058). It is always https, whatever click_tracking_scheme says, so tracking_domain needs "
        "TLS.",
        scopes=TRACKING_SCOPES,
    )
    list_unsubscribe_mailto: str = declared(
        option_types.mail_address(),
        "",
        "Address named in List-Unsubscribe as well, behind the https one, for programs that send a mail. "
        "Somebody must act on what comes there. Empty: none.",
        scopes=TRACKING_SCOPES,
        example="leave@example.com",
    )
    list_id: str = declared(
        option_types.list_id(),
        "",
        "The list that a reader leaves by one click, for mail without a List-Id of its own (RFC 2919). "
        "Empty: such a reader gets no more mail but transactional.",
        scopes=TRACKING_SCOPES,
        example="news.example.com",
    )
    keep_html_days: int = declared(
        option_types.integer(0, 400, "days"),
        0,
        "For the click map: how many days a copy of the HTML of a campaign's mail is kept, one of each form "
        "of it. Links' places, text and looks are in it; it is one recipient's mail all the same, and goes "
        "when they are erased or object. Never of transactional mail, nor of mail without a campaign, nor in "
        "modes of privacy other than full (docs/pages.md). 0: nothing is kept.",
        scopes=TRACKING_SCOPES,
        example=30,
    )
    context: Mapping[str, str] = declared(
        option_types.pairs(),
        MappingProxyType({}),
        "Context variables that every message of a connection begins with. They are policy: those named "
        "smtpapi_… win over the X-MSYS-API header.",
        scopes=TRACKING_SCOPES,
        example={"mo_customer_id": "17", "cust_site": "berlin"},
    )
    pathway: str = declared(
        option_types.text("a pathway's name", empty=False),
        "default",
        "Name of the pathway whose options apply here, before those of the scope that names it.",
        scopes=_LISTENER_SCOPES,
        example="newsletters",
    )
    relay_hosts: tuple[Network, ...] = declared(
        option_types.networks(),
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        "Client addresses trusted without a login, for mail that has not come in from outside before: each "
        "Received field in it must name one of these, this machine, or a client that had logged in. All "
        "other mail passes untouched (docs/decisions/0016-trust.md).",
        scopes=("global", *TRACKING_SCOPES),
        display="Relay_Hosts",
    )
    open_relay: bool = declared(
        option_types.boolean(),
        False,
        "In a Peer: whether its clients are trusted as those in Relay_Hosts are. true elsewhere would trust "
        "every client there is, and is an error.",
        scopes=TRACKING_SCOPES,
        display="Open_Relay",
    )
    local_submission: bool = declared(
        option_types.boolean(),
        True,
        "Whether mail is trusted that is handed in on this machine by the sendmail(1) command, as cron jobs "
        "and web applications do; 127.0.0.1 must be in Relay_Hosts as well. Set it to false where scripts "
        "hand in mail of strangers without its Received fields.",
        scopes=("global", *TRACKING_SCOPES),
        display="Local_Submission",
    )
    suppression_action: SuppressionAction = declared(
        option_types.member(SuppressionAction),
        SuppressionAction.OFF,
        "What becomes of a recipient who is on the suppression list, in mail of trusted clients. off: the "
        "list is not asked; remove: they are taken out at the end of the message, and mail for nobody else "
        "is accepted and dropped; refuse: the same, but mail for nobody else is refused with 554 5.7.1; "
        "refuse_at_rcpt: refused at RCPT as well, where the header is not known yet, so only for clients "
        "whose mail is never transactional (docs/suppression.md).",
        scopes=("global", *TRACKING_SCOPES),
    )
    smtp_extensions: tuple[str, ...] = declared(
        option_types.text_list("a list of extension names, as in (XSETCONTEXT)"),
        (),
        "Momentum's SMTP extensions, for trusted clients. XSETCONTEXT and XDUMPCONTEXT count behind Postfix "
        "with etc/postfix/smtpapi_commands, which turns XREMOTEIP into Postfix's own XCLIENT; with Sendmail "
        "all three count, though the client sees a 500. Others change nothing here.",
        scopes=TRACKING_SCOPES,
        example=("XSETCONTEXT",),
        display="SMTP_Extensions",
    )
    vendor_headers: tuple[str, ...] = declared(
        option_types.choices(*VENDORS),
        (),
        "Other vendors whose header fields are read here in the place of X-MSYS-API, and removed from "
        "trusted mail: campaign, tags, metadata, clicks and opens (docs/vendor-headers.md). X-MSYS-API "
        "counts alone where both stand; of several vendors the first that says something counts.",
        scopes=_LISTENER_SCOPES,
        example=("sendgrid", "mailgun"),
    )
    enable: bool = declared(
        option_types.boolean(), True,
        "Whether the listener or Listen stanza counts; false keeps it without effect.",
        scopes=("esmtp_listener", "listen"),
        display="Enable",
    )  # fmt: skip
