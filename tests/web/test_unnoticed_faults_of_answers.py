"""Faults that were put into the tracker's answers on purpose, and that no other test noticed."""

from types import SimpleNamespace

import pytest

from engagement.links.model import CLICKS, Kind
from engagement.links.stops import Stops
from web.web_cases import MemorySpool, ask, environ, hot, token


@pytest.mark.parametrize("kind", sorted(CLICKS))
@pytest.mark.parametrize(
    ("stops", "status"),
    [
        (Stops(campaigns={"autumn-letter": "ann"}), 410),
        (Stops(campaigns={"spring-letter": "ann"}), 302),
        (Stops(messages={bytes(16).hex(): "ann"}), 410),
        (Stops(transmissions={"42": "ann"}), 410),
        (Stops(transmissions={"43": "ann"}), 302),
    ],
)
def test_a_link_of_a_stopped_campaign_message_or_transmission_is_gone_and_counted(
    kind: Kind, stops: Stops, status: int
) -> None:
    spool = MemorySpool()
    answer = ask(hot(spool, stops=SimpleNamespace(stops=stops)), environ(f"/f/a/{token(kind)}"))
    assert (answer.status, len(spool.records)) == (status, 1)
