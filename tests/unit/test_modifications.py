"""Changes of a message as calls of the milter protocol, in their order."""

import pytest

from smtpapi.model.edit import Edit
from smtpapi.model.message import Message
from smtpapi.model.outcome import Discard, HeaderChange, Leave, Outcome, Plan, Recipient, Refuse, Why
from smtpapi.mta.modification_calls import apply_modifications
from smtpapi.mta.modifications import modifications_of
from unit.incoming_samples import Mta

MESSAGE = Message((), b"Hello\r\n")
HEADERS = (
    HeaderChange("X-B", 1, None),
    HeaderChange("x-a", 1, None),
    HeaderChange("X-A", 3, None),
    HeaderChange("X-A", 2, None),
    HeaderChange("Subject", 1, "new\r\n folded"),
    HeaderChange("Sender", 2, " spaced"),
    HeaderChange("X-Last", 0, "\tz"),
    HeaderChange("X-First", 0, "y", first=True),
)
EVERYTHING = Plan(
    HEADERS,
    (Edit(0, 5, b"Bye", "link"),),
    recipients=(Recipient("c@r.test"), Recipient("d@r.test", "b@r.test", "who@r.test")),
    through="hop@m.test",
    leaving=("gone@r.test",),
)
RECIPIENTS, OPTIONS = ("a@r.test", "b@r.test"), ((), (b"NOTIFY=NEVER",))


def calls(outcome: Outcome, *, exact: bool = True, fails: str = "") -> tuple[list[tuple[object, ...]], bool]:
    """Return the calls that carry it out, and whether one failed."""
    found = modifications_of(outcome, MESSAGE, RECIPIENTS, OPTIONS, exact=exact)
    assert found is not None
    mta = Mta(fails)
    return mta.calls, apply_modifications(found, mta) is not None


def test_all_changes_come_in_the_order_that_mtas_need() -> None:
    assert calls(EVERYTHING) == (
        [
            ("chgheader", "X-A", 3, ""),
            ("chgheader", "X-A", 2, ""),
            ("chgheader", "x-a", 1, ""),
            ("chgheader", "X-B", 1, ""),
            ("chgheader", "Subject", 1, " new\n folded"),
            ("chgheader", "Sender", 2, " spaced"),
            ("addheader", "X-Last", "\tz", -1),
            ("addheader", "X-First", " y", 0),
            ("delrcpt", "<gone@r.test>"),
            ("delrcpt", "<b@r.test>"),
            ("addrcpt", "<hop@m.test>"),
            ("addrcpt", "<c@r.test>", None),
            ("addrcpt", "<d@r.test>", "NOTIFY=NEVER ORCPT=rfc822;who@r.test"),
            ("delrcpt", "<hop@m.test>"),
            ("replacebody", b"Bye\r\n"),
        ],
        False,
    )


def test_an_mta_that_adds_the_space_itself_is_given_none() -> None:
    values = [call[3] for call in calls(Plan(HEADERS[4:]), exact=False)[0] if call[0] == "chgheader"]
    values += [call[2] for call in calls(Plan(HEADERS[4:]), exact=False)[0] if call[0] == "addheader"]
    assert values == ["new\n folded", "spaced", "\tz", "y"]


@pytest.mark.parametrize("value", ["", "x", "\n x"])
def test_a_value_that_begins_with_white_space_gets_no_more(value: str) -> None:
    (call,), _ = calls(Plan((HeaderChange("X", 0, value),)))
    assert call == ("addheader", "X", value if value[:1] == "\n" else f" {value}", -1)


def test_without_recipients_to_add_none_is_replaced() -> None:
    assert calls(Plan(leaving=("b@r.test",), through="hop@m.test")) == (
        [("delrcpt", "<b@r.test>"), ("addrcpt", "<hop@m.test>"), ("delrcpt", "<hop@m.test>")],
        False,
    )


@pytest.mark.parametrize(
    ("fails", "before"),
    [("chgheader", 0), ("addheader", 6), ("delrcpt", 8), ("addrcpt", 10), ("replacebody", 14)],
)
def test_after_a_call_that_fails_no_other_is_made(fails: str, before: int) -> None:
    made, failed = calls(EVERYTHING, fails=fails)
    assert (made, failed) == (calls(EVERYTHING)[0][:before], True)


@pytest.mark.parametrize("outcome", [Leave(Why.NO_LINK), Refuse("550", "", "no"), Discard()])
def test_only_a_plan_changes_anything(outcome: Outcome) -> None:
    assert modifications_of(outcome, MESSAGE) is None


def test_recipients_and_their_options_belong_together() -> None:
    with pytest.raises(ValueError, match="zip"):
        modifications_of(EVERYTHING, MESSAGE, RECIPIENTS, OPTIONS[:1])
    assert modifications_of(Plan(), MESSAGE, RECIPIENTS, OPTIONS[:1]) is not None
