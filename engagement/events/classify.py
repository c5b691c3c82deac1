"""Who fetched a link, and why we think so. A label, never a verdict: every hit is kept (contract.md 7.5).

The first, small set of rules: by method and User-Agent alone. The lists are handed in as `Rules`, with a
version that each label carries, so that hits can be judged anew when the rules have changed.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from engagement.events.model import Hit
from engagement.links.model import OPENS


class Client(StrEnum):
    """What stood behind a request."""

    HUMAN = "human"
    PROXY = "proxy"  # an image proxy that a person's opening of the mail sets off
    PREFETCH = "prefetch"  # a mail service that loads pictures whether anyone looks or not
    SCANNER = "scanner"  # a filter that follows links
    PROBE = "probe"  # HEAD: answered, recorded, counted nowhere
    UNKNOWN = "unknown"


MACHINES = frozenset({Client.PREFETCH, Client.SCANNER})  # `is_prefetched` (contract.md 7.5)


@dataclass(frozen=True, slots=True)
class Label:
    """client: the class. reason: one word for the rule that decided. rules: the version of the rule set."""

    client: Client
    reason: str
    rules: str


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: known by identity, which makes a fast key
class Rules:
    """Lists of User-Agent parts, lower case, looked for anywhere in the header; `bare` are whole values.

    own: programs of people that other lists take for robots; looked at first.
    """

    version: str
    own: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()


DEFAULT = Rules(
    version="1",
    # Outlook on the desktop and the like name their office suite; lists of robots often hold "ms-office".
    own=("ms-office", "msoffice", "microsoft outlook", "thunderbird"),
    proxies=("googleimageproxy", "yahoomailproxy", "duckduckgo-image-proxy", "fastmail"),
    scanners=(
        *("barracuda", "google-safety", "proofpoint", "mimecast", "safelinks", "urldefense", "trendmicro"),
        *(
            "bot/",
            "bot;",
            "crawler",
            "spider",
            "curl/",
            "wget/",
            "python-requests",
            "python-urllib",
            "httpx/",
        ),
        *("go-http-client", "java/", "libwww-perl", "headlesschrome", "phantomjs", "facebookexternalhit"),
    ),
    bare=("mozilla/5.0",),  # Apple Mail Privacy Protection says this and no more
)


def classify(hit: Hit, rules: Rules = DEFAULT) -> Label:
    """Return the label of one hit, seen alone."""
    client, reason = _judge(hit, rules)
    return Label(client, reason, rules.version)


def _judge(hit: Hit, rules: Rules) -> tuple[Client, str]:
    if hit.method == "HEAD":
        return Client.PROBE, "head"
    client, reason = _by_agent(hit.user_agent, hit.kind in OPENS, rules)
    if hit.spoiled and client is Client.HUMAN:
        return Client.SCANNER, "spoiled-link"  # gateways try links with odd endings (docs/quirks.md)
    return client, reason


@lru_cache(maxsize=4096)  # a header has at most 8 kB with common servers, and mostly some hundred bytes
def _by_agent(user_agent: str, is_open: bool, rules: Rules) -> tuple[Client, str]:
    agent = user_agent.strip().lower()
    if not agent:
        return Client.UNKNOWN, "no-user-agent"
    if any(part in agent for part in rules.own):
        return Client.HUMAN, "mail-program"
    if any(part in agent for part in rules.proxies):
        return Client.PROXY, "image-proxy"
    if any(part in agent for part in rules.scanners):
        return Client.SCANNER, "user-agent"
    if agent in rules.bare:
        # A picture under a bare name is a service loading it ahead; a link is followed by something unnamed.
        return (Client.PREFETCH if is_open else Client.UNKNOWN), "bare-user-agent"
    return Client.HUMAN, "user-agent"
