"""Who fetched a link, and why we think so: a label. No hit is dropped for its label (contract.md 7.5).

The first, small set of rules goes by method and User-Agent alone. The lists are an argument,
`ClassificationRules`, with a version that each label holds, so that hits can be classified anew when the
rules have changed.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from engagement.events.model import Hit
from engagement.links.model import OPENS


class ReaderClass(StrEnum):
    """What sent a request."""

    HUMAN = "human"
    PROXY = "proxy"  # an image proxy, which fetches when a person opens the mail
    PREFETCH = "prefetch"  # a mail service that loads pictures whether anyone looks or not
    SCANNER = "scanner"  # a filter that follows links
    PROBE = "probe"  # HEAD: answered, recorded, counted nowhere
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """What a figure stands for. The three are disjoint, and every hit that counts is in one of them."""

    PEOPLE = "people"
    MACHINES = "machines"
    UNSURE = "unsure"


def verdict(client: str, *, certain: bool) -> Verdict:
    """Return where figures count a class. certain: False for a class that its rule calls probable."""
    if client in (ReaderClass.HUMAN, ReaderClass.PROXY):
        return Verdict.PEOPLE
    return Verdict.MACHINES if certain and client != ReaderClass.UNKNOWN else Verdict.UNSURE


MACHINES = frozenset({ReaderClass.PREFETCH, ReaderClass.SCANNER})  # `is_prefetched` (contract.md 7.5)


@dataclass(frozen=True, slots=True)
class Classification:
    """A hit's label.

    client: the class. reason: the rule that decided. rules: the version of the rules. certain: False where
    the rule calls its class no more than probable.
    """

    client: ReaderClass
    reason: str
    rules: str
    certain: bool = True


def rules_number(version: str) -> int:
    """Return a version of rules as the number by which older ones are told from newer ones.

    A version that is no whole number up to 999 (Cassandra's stores have no room for more) counts as 0.
    """
    return int(version) if version.isascii() and version.isdigit() and len(version) < 4 else 0


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: known by identity, which makes a fast key
class ClassificationRules:
    """Lists of User-Agent parts, lower case, which may stand anywhere in the header; `bare` are whole values.

    own: programs of people that the other lists would take for robots; compared first.
    """

    version: str
    own: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()


DEFAULT = ClassificationRules(
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


def classify(hit: Hit, rules: ClassificationRules = DEFAULT) -> Classification:
    """Return the label of one hit, whatever other hits there are."""
    client, reason = _by_rules(hit, rules)
    return Classification(client, reason, rules.version)


def _by_rules(hit: Hit, rules: ClassificationRules) -> tuple[ReaderClass, str]:
    if hit.method == "HEAD":
        return ReaderClass.PROBE, "head"
    client, reason = _by_agent(hit.user_agent, hit.kind in OPENS, rules)
    if hit.spoiled and client is ReaderClass.HUMAN:
        return ReaderClass.SCANNER, "spoiled-link"  # gateways try links with odd endings (docs/quirks.md)
    return client, reason


@lru_cache(maxsize=4096)  # a header has at most 8 kB with common servers, and mostly some hundred bytes
def _by_agent(user_agent: str, is_open: bool, rules: ClassificationRules) -> tuple[ReaderClass, str]:
    agent = user_agent.strip().lower()
    if not agent:
        return ReaderClass.UNKNOWN, "no-user-agent"
    if any(part in agent for part in rules.own):
        return ReaderClass.HUMAN, "mail-program"
    if any(part in agent for part in rules.proxies):
        return ReaderClass.PROXY, "image-proxy"
    if any(part in agent for part in rules.scanners):
        return ReaderClass.SCANNER, "user-agent"
    if agent in rules.bare:
        # A picture under a bare name is a service loading it ahead; a link is followed by something unnamed.
        return (ReaderClass.PREFETCH if is_open else ReaderClass.UNKNOWN), "bare-user-agent"
    return ReaderClass.HUMAN, "user-agent"
