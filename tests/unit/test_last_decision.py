"""The decision that is kept for the next mail is the one that would be made."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from engagement.settings import load_text
from engagement.settings.schema import ScopedOptions
from engagement.settings.scopes import Where
from smtpapi.pipeline.site import LastDecision
from smtpapi.request.decision import SiteWide, decide
from smtpapi.request.x_msys_api import NOTHING, XMsysApi

_WIDE = SiteWide()


def _options(text: str) -> ScopedOptions:
    return load_text(f"ESMTP_Listener {{ {text} }}").scoped(Where()).options


_OPTIONS = st.sampled_from(
    [_options("click_tracking_enabled = true"), _options('tracking_domain = "t.example"')]
)
_DIRECTIVES = st.sampled_from([NOTHING, XMsysApi(True, "spring"), XMsysApi(True, tags=("a",), clicks=False)])
_CONTEXTS = st.sampled_from(
    [
        {},
        {"smtpapi_campaign_id": "x"},
        {"smtpapi_campaign_id": "x" * 65},
        {"smtpapi_click_tracking": "perhaps"},
    ]
)


@given(st.lists(st.tuples(_OPTIONS, _DIRECTIVES, _CONTEXTS), max_size=12))
def test_whatever_was_asked_before_the_answer_is_that_of_decide(
    requests: list[tuple[ScopedOptions, XMsysApi, Mapping[str, str]]],
) -> None:
    memory = LastDecision(_WIDE)
    for options, directive, context in requests:
        assert memory.decide(options, directive, context) == decide(options, _WIDE, directive, context)


def test_variables_that_change_afterwards_are_asked_anew() -> None:
    options, context = _options(""), {"smtpapi_campaign_id": "first"}
    memory = LastDecision(_WIDE)
    memory.decide(options, NOTHING, context)
    context["smtpapi_campaign_id"] = "second"
    assert memory.decide(options, NOTHING, context) == decide(options, _WIDE, NOTHING, context)


def test_what_is_asked_again_in_other_words_is_not_decided_again() -> None:
    options, memory = _options(""), LastDecision(_WIDE)
    first = memory.decide(options, XMsysApi(True, "spring"), {"smtpapi_campaign_id": "x"})
    assert memory.decide(options, XMsysApi(True, "spring"), {"smtpapi_campaign_id": "x"}) is first
