"""What others learned about who fetches mail's pictures and links: a lesson, a test."""

import gc
import time
from pathlib import Path
from typing import Any

import pytest

from agents.shares import people, robots, shares
from engagement.classify.model import Context, Seen
from engagement.classify.read import read_rules
from engagement.classify.rule_set import RuleSet
from engagement.classify.shipped import classify, shipped
from engagement.events.classify import Verdict, verdict
from engagement.events.model import Hit
from engagement.events.signals import Signals
from engagement.links.model import Kind, Link
from unit.event_samples import AT, BROWSER, hit, identity, packed

BARE = "Mozilla/5.0"
OUTLOOK = "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
GMAIL_AT_DELIVERY = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
MICROSOFT, GOOGLE, APPLE, READER = "40.107.218.12", "66.249.88.1", "17.58.1.2", "203.0.113.9"


def found(event: Hit, context: Context = Context()) -> tuple[str, bool, str]:  # noqa: B008 - a frozen value
    label = classify(event, None, context)
    return label.client.value, label.certain, label.reason


def counted(event: Hit, context: Context = Context()) -> Verdict:  # noqa: B008 - a frozen value
    label = classify(event, None, context)
    return verdict(label.client, certain=label.certain)


def request(kind: Kind, agent: str, address: str = READER, **changes: Any) -> Hit:
    return hit(kind, user_agent=agent, client_address=address, **changes)


# 1. Mozilla/5.0 and no more: second-hand


def test_the_bare_agent_alone_is_a_prefetch_that_nobody_is_sure_of() -> None:
    assert found(request(Kind.OPEN, BARE)) == ("prefetch", False, "apple-privacy")
    assert counted(request(Kind.OPEN, BARE)) is Verdict.UNSURE


def test_the_bare_agent_from_apples_network_is_certain() -> None:
    assert found(request(Kind.OPEN, BARE, APPLE)) == ("prefetch", True, "apple-privacy-network")
    assert counted(request(Kind.OPEN, BARE, "2620:149::7")) is Verdict.MACHINES


def test_the_bare_agent_is_certain_within_ten_seconds_of_the_delivery_and_not_after() -> None:
    soon, late = Context(delivered_ms=AT - 10_000), Context(delivered_ms=AT - 10_001)
    assert found(request(Kind.OPEN, BARE), soon) == ("prefetch", True, "apple-privacy-at-delivery")
    assert found(request(Kind.OPEN, BARE), late) == ("prefetch", False, "apple-privacy")


def test_a_link_followed_under_the_bare_agent_is_nobodys() -> None:
    assert found(request(Kind.CLICK, BARE)) == ("unknown", True, "bare-agent")
    assert counted(request(Kind.CLICK, BARE)) is Verdict.UNSURE


# 2. Networks of filters: links only, and probable


@pytest.mark.parametrize("address", [MICROSOFT, GOOGLE])
def test_a_filters_network_makes_a_click_a_probable_scanner_and_leaves_opens_alone(address: str) -> None:
    assert found(request(Kind.CLICK, CHROME, address))[:2] == ("scanner", False)
    assert found(request(Kind.OPEN, CHROME, address)) == ("human", True, "browser")


def test_a_mail_program_in_a_rented_machine_of_microsofts_is_a_person() -> None:
    assert found(request(Kind.CLICK, OUTLOOK, MICROSOFT)) == ("human", True, "mail-program")


# 3. Gmail's false open


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.INITIAL_OPEN, Kind.CLICK])
def test_gmails_load_at_delivery_is_a_prefetch_whenever_it_comes(kind: Kind) -> None:
    assert found(request(kind, GMAIL_AT_DELIVERY)) == ("prefetch", True, "gmail-at-delivery")


def test_the_browser_that_it_pretends_to_be_is_a_person() -> None:
    assert found(request(Kind.OPEN, GMAIL_AT_DELIVERY.removesuffix(" Mozilla/5.0")))[0] == "human"


def test_gmails_proxy_is_a_person_and_its_samples_are_not() -> None:
    assert counted(request(Kind.OPEN, "Mozilla/5.0 (via ggpht.com GoogleImageProxy)")) is Verdict.PEOPLE
    assert counted(request(Kind.CLICK, f"{CHROME} Gmail-content-sampling")) is Verdict.MACHINES


# 4. Safe Links


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_post_proves_no_person(method: str) -> None:
    """Filters run scripts and send forms."""
    assert counted(request(Kind.CLICK, CHROME, MICROSOFT, method=method)) is Verdict.UNSURE
    assert found(request(Kind.LIST_UNSUBSCRIBE, "Oddity", method=method))[0] == "unknown"


def test_safe_links_tries_the_link_with_an_odd_ending() -> None:
    assert found(request(Kind.CLICK, CHROME, spoiled=True)) == ("scanner", True, "spoiled-link")


def test_a_click_right_after_the_delivery_is_unsure() -> None:
    """Five minutes are too many for a label: people are quick; seconds are not."""
    assert counted(request(Kind.CLICK, CHROME), Context(delivered_ms=AT - 3_000)) is Verdict.UNSURE
    assert counted(request(Kind.CLICK, CHROME), Context(delivered_ms=AT - 4_000)) is Verdict.PEOPLE


def test_so_is_one_right_after_the_sending() -> None:
    assert counted(request(Kind.CLICK, CHROME), Context(injected_ms=AT - 2_000)) is Verdict.UNSURE
    assert counted(request(Kind.CLICK, CHROME), Context(injected_ms=AT - 3_000)) is Verdict.PEOPLE


# 5. Privacy: only a word is left


@pytest.mark.parametrize("agent", [*people()[::7], *robots()[::40], "", BARE, f" {BARE} ", "Oddity/1"])
@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.CLICK, Kind.LIST_UNSUBSCRIBE])
def test_the_word_is_judged_as_its_agent_is(agent: str, kind: Kind) -> None:
    for context in (Context(), Context(AT - 60_000, AT - 5_000), Context(AT - 1_000, AT + 9_000)):
        word = request(kind, shipped().word(agent), "")
        assert found(word, context) == found(request(kind, agent, ""), context)


def test_a_time_of_which_the_day_alone_is_left_is_soon_after_nothing() -> None:
    day = AT // 86_400_000 * 86_400_000
    assert found(hit(Kind.OPEN, user_agent="withheld", client_address="", at_ms=day), Context(AT, AT)) == (
        *("human", True, "browser"),
    )


OLD = {
    "human": ("ms-office", "msoffice", "microsoft outlook", "thunderbird", "withheld"),
    "proxy": ("googleimageproxy", "yahoomailproxy", "duckduckgo-image-proxy", "fastmail"),
    "scanner": (
        *("barracuda", "google-safety", "proofpoint", "mimecast", "safelinks", "urldefense", "trendmicro"),
        *("bot/", "bot;", "crawler", "spider", "curl/", "wget/", "python-requests", "python-urllib"),
        *("httpx/", "go-http-client", "java/", "libwww-perl", "headlesschrome", "phantomjs"),
        "facebookexternalhit",
    ),
    "prefetch": ("mozilla/5.0",),
    "unknown": ("",),
}


@pytest.mark.parametrize(
    ("client", "word"), [(client, word) for client, terms in OLD.items() for word in terms]
)
def test_words_of_earlier_versions_keep_their_class(client: str, word: str) -> None:
    assert found(request(Kind.OPEN, word, ""))[0] == client


# 6. What the request says of itself


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.CLICK])
@pytest.mark.parametrize("agent", [CHROME, BROWSER, OUTLOOK])
def test_what_a_browser_loads_ahead_is_a_prefetch(kind: Kind, agent: str) -> None:
    signals = int(Signals.RECORDED | Signals.PREFETCH | Signals.ACCEPT_HTML | Signals.LANGUAGE)
    assert found(request(kind, agent, signals=signals)) == ("prefetch", True, "prefetch-header")


def test_a_browser_that_asks_like_a_library_is_a_probable_scanner() -> None:
    like_a_library = int(Signals.RECORDED | Signals.ACCEPT_ANY)
    assert found(request(Kind.CLICK, CHROME, signals=like_a_library)) == (
        "scanner",
        False,
        "no-browsers-request",
    )
    assert found(request(Kind.CLICK, CHROME, signals=like_a_library | int(Signals.LANGUAGE)))[0] == "human"
    assert found(request(Kind.CLICK, CHROME, signals=int(Signals.ACCEPT_ANY)))[0] == "human"  # nobody looked


# 7. Sooner than the delivery


@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.CLICK])
@pytest.mark.parametrize("agent", [CHROME, OUTLOOK])
def test_before_the_delivery_there_is_no_reader(kind: Kind, agent: str) -> None:
    assert found(request(kind, agent), Context(delivered_ms=AT + 2_000)) == (
        "scanner",
        True,
        "before-delivery",
    )
    assert found(request(Kind.OPEN, agent), Context(delivered_ms=AT + 1_999))[0] == "human"


# Several links at once


def links(*times: int, address: str = READER) -> Context:
    return Context(links={address: [Seen(AT + at, bytes([number])) for number, at in enumerate(times)]})


def test_four_links_in_five_seconds_are_no_person() -> None:
    assert found(request(Kind.CLICK, CHROME), links(-4_000, -2_000, -1_000, 0)) == ("scanner", True, "burst")
    assert found(request(Kind.CLICK, CHROME), links(0, 1_000, 2_000, 5_000)) == ("scanner", True, "burst")


def test_three_in_ten_are_probably_none_and_two_may_be_anybodys() -> None:
    assert found(request(Kind.CLICK, CHROME), links(-6_000, -3_000, 0)) == ("scanner", False, "burst-slow")
    assert found(request(Kind.CLICK, CHROME), links(-3_000, 0))[0] == "human"
    assert found(request(Kind.CLICK, CHROME), links(-30_000, -15_000, 0))[0] == "human"


def test_one_link_again_and_again_and_other_addresses_are_no_burst() -> None:
    again = Context(links={READER: [Seen(AT - 100 * number, b"1") for number in range(9, -1, -1)]})
    assert found(request(Kind.CLICK, CHROME), again)[0] == "human"
    assert found(request(Kind.CLICK, CHROME), links(-3, -2, -1, 0, address=MICROSOFT))[0] == "human"


def test_an_open_amid_a_burst_is_not_judged_by_it() -> None:
    assert found(request(Kind.OPEN, CHROME), links(-4_000, -2_000, -1_000, 0))[0] == "human"


def test_one_address_in_the_mail_of_ten_recipients_is_probably_a_filter() -> None:
    def messages(number: int) -> Context:
        return Context(
            messages={READER: [Seen(AT - 100 * each, bytes([each])) for each in range(number)][::-1]}
        )

    assert found(request(Kind.CLICK, CHROME), messages(10)) == ("scanner", False, "many-recipients")
    assert found(request(Kind.CLICK, CHROME), messages(9))[0] == "human"


# A link that no person sees


UNSEEN = """version = 5
[[rule]]
name = "unseen"
class = "scanner"
certainty = "certain"
link_name = ["nobody", "no one"]
reason = "our templates hide a link of this name"
source = "us"
"""


def named(name: str) -> bytes:
    return packed(Kind.CLICK, identity(), Link(b"https://example.net/", name))


def test_who_follows_a_link_that_no_person_sees_is_no_person(tmp_path: Path) -> None:
    (tmp_path / "05-site.toml").write_text(UNSEEN)
    rules = read_rules(tmp_path)

    def reason(event: Hit, *others: str, address: str = READER, at: int = 0) -> str:
        seen = [Seen(AT + at, named(name)) for name in others]
        return rules.classify(event, Context(links={address: seen})).reason

    hidden, other = (request(Kind.CLICK, CHROME, packed=named(name)) for name in ("nobody", "offer"))
    assert reason(hidden) == "unseen"
    assert rules.classify(hidden).reason == "unseen"  # as it comes in
    assert reason(other, "offer", "no one", at=90_000) == "unseen"  # what else it did
    assert reason(request(Kind.OPEN, CHROME), "nobody") == "unseen"
    assert reason(other, "offer", "footer") == "browser"
    assert reason(other, "nobody", address=MICROSOFT) == "browser"
    assert reason(request(Kind.AMP_CLICK, CHROME, packed=named("nobody"))) == "unseen"
    assert reason(request(Kind.CLICK, CHROME, packed=b"not one of ours")) == "browser"


# Names


@pytest.mark.parametrize(
    "agent",
    [
        *("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "WhatsApp/2.23.20.0 A"),
        *(
            "TelegramBot (like TwitterBot)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        ),
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
        *("axios/1.7.2", "Python/3.12 aiohttp/3.9.5", "AdsBot-Google (+http://www.google.com/adsbot.html)"),
    ],
)
def test_previews_and_libraries_are_machines(agent: str) -> None:
    assert counted(request(Kind.CLICK, agent)) is Verdict.MACHINES


def test_okhttp_may_be_an_app_that_opens_a_link() -> None:
    assert found(request(Kind.CLICK, "okhttp/4.12.0")) == ("scanner", False, "library-of-apps")


def test_a_persons_class_is_earned() -> None:
    assert found(request(Kind.CLICK, "Oddity/1")) == ("unknown", True, "no-rule")
    assert counted(request(Kind.CLICK, "Oddity/1")) is Verdict.UNSURE


def test_head_is_a_probe_whatever_else_holds() -> None:
    assert found(request(Kind.CLICK, CHROME, method="HEAD"), links(-3, -2, -1, 0))[0] == "probe"


@pytest.mark.parametrize("kind", ["open", "click"])
def test_few_robots_are_called_people_and_hardly_a_person_a_machine(kind: str) -> None:
    of_robots, of_people = shares(kind)
    assert of_robots <= 0.02
    assert of_people <= 0.01
    assert len(people()) >= 400


def test_judging_takes_less_than_ten_microseconds_with_agents_as_they_come() -> None:
    agents = people() + robots()
    hits = [
        request(Kind.CLICK, agents[number % len(agents)], f"192.0.{number >> 8 & 255}.{number & 255}")
        for number in range(4 * len(agents))
    ]
    rules = shipped()
    for each in hits:
        rules.classify(each)
    gc.disable()  # what other tests left is none of ours
    try:
        best = min(_seconds(rules, hits) for _ in range(5))
    finally:
        gc.enable()
    assert best / len(hits) < 10e-6


def _seconds(rules: RuleSet, hits: list[Hit]) -> float:
    began = time.process_time()
    for each in hits:
        rules.classify(each)
    return time.process_time() - began


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "bot",
        "mozilla/5.0 (",
        "(http://",
        "windows ",
        "1.",
        "crawl",
        " ",
        "\xe9",
        "\0",
        "gecko ",
        "khtml",
    ],
)
def test_no_agent_takes_long(part: str) -> None:
    agent = (part * 8192)[:8192]
    for begin in ("", "mozilla/5.0 (", "mail/", "opera/9.8 "):
        event = request(Kind.CLICK, begin + agent)
        times = []
        for _ in range(3):  # the quickest counts: a busy machine may take any one longer
            began = time.process_time()
            shipped().classify(event)
            times.append(time.process_time() - began)
        assert min(times) < 0.05


def test_the_lists_say_where_they_were_found() -> None:
    text = (Path(__file__).parents[1] / "agents" / "README.md").read_text("utf-8")
    for path in (Path(__file__).parents[1] / "agents" / "people").iterdir():
        lines = len(path.read_text("utf-8").splitlines())
        assert f"| `people/{path.name}` | {lines} |" in text
