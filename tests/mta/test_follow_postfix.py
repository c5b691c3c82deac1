"""A real Postfix's log, followed: what each way that a mail can go becomes (docs/deliveries.md)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engagement.events.model import MessageEvent, names_of, recipient_mark
from engagement.events.record import decode
from engagement.maillogs.files import LogFile
from engagement.maillogs.follower import FileLines, Follower
from engagement.maillogs.memory import QueueMemory
from engagement.maillogs.outcomes import Outcomes
from engagement.shipper.messages import chosen
from engagement.spool.read import SpoolReader
from engagement.spool.write import SpoolWriter
from mta.mta_site import free_port, open_folders, until
from mta.site_parts import hand_in, html_mail, need_postfix
from mta.smtp_sink import Sink
from private_mta.postfix import PrivatePostfix, Smtpd
from unit.event_samples import injection as any_injection

pytestmark = pytest.mark.mta

NODE = "mail.example.test"
PIPES = """\
bouncing  unix - n n - - pipe flags= user=nobody argv=/bin/sh -c { echo "no <one> of that name"; exit 67 }
deferring unix - n n - - pipe flags= user=nobody argv=/bin/sh -c { exit 75 }
local     unix - n n - - local
"""


@dataclass
class Site:
    """Postfix, what lies behind it, and its follower."""

    folder: Path
    postfix: PrivatePostfix
    ports: dict[str, int]

    def send(self, *recipients: str, port: str = "in") -> str:
        """Hand a mail in; give its queue id."""
        answer = hand_in(self.ports[port], "sender@sender.test", recipients, html_mail(labels=False))
        found = re.search(rb"queued as (\w+)", answer)
        assert found is not None
        return found[1].decode()

    def follow(self) -> list[MessageEvent]:
        """Follow what the log has; give all that was told so far, each once."""
        memory = QueueMemory(self.folder / "follow.db")
        log = str(self.postfix.log)
        source = FileLines(LogFile(self.postfix.log, memory.cursor(log)))
        spool = SpoolWriter(self.folder / "spool")
        try:
            Follower(log, source, memory, Outcomes(NODE, memory), spool).drain()
        finally:
            source.close()
            spool.close()
            memory.close()
        events = [decode(entry.record) for entry in SpoolReader(self.folder / "spool").read()]
        outcomes = [event for event in events if isinstance(event, MessageEvent)]
        assert len({event.id for event in outcomes}) == len(outcomes)
        return outcomes

    def of(self, queue_id: str, recipient: str, count: int = 1) -> list[MessageEvent]:
        """The events of a mail's recipient; wait until there are so many."""

        def found() -> list[MessageEvent]:
            return [event for event in self.follow() if is_of(event, queue_id, recipient)]

        until(lambda: len(found()) >= count, 20, f"{queue_id} {recipient}: {self.postfix.last_lines(20)}")
        return found()


def is_of(event: MessageEvent, queue_id: str, recipient: str) -> bool:
    """Tell whether the shipper leads the event to the injection of this recipient."""
    injection = any_injection(at_ms=event.at_ms)._replace(
        node_name=NODE,
        queue_id=queue_id,
        recipient=recipient,
        recipient_mark=recipient_mark(NODE, queue_id, recipient),
        message_id_header=f"<{queue_id}@{NODE}>",
    )
    known = {name: [injection] for name in names_of(injection)}
    return chosen(event, known) is not None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need_postfix()
    folder = tmp_path_factory.mktemp("follow")
    open_folders(folder)
    names = ("in", "filtered", "back", "sink", "nobody", "refuse")
    ports = {name: free_port() for name in names}
    transports = {
        "bounce@example.test": "bouncing:",
        "defer@example.test": "deferring:",
        "discard@example.test": "discard:because",
        "relay.test": f"smtp:[127.0.0.1]:{ports['sink']}",
        "refused.test": f"smtp:[127.0.0.1]:{ports['sink']}",
        "closed.test": f"smtp:[127.0.0.1]:{ports['nobody']}",
    }
    postfix = PrivatePostfix(
        folder / "postfix",
        [
            Smtpd(ports["in"]),
            Smtpd(ports["filtered"], {"content_filter": f"smtp:[127.0.0.1]:{ports['back']}"}),
            Smtpd(ports["back"], {"receive_override_options": "no_address_mappings"}),
        ],
        options={
            "transport_maps": "inline:{" + ", ".join(f"{{ {k} = {v} }}" for k, v in transports.items()) + "}",
            "virtual_alias_maps": "inline:{ { list@example.test = one@example.test, two@example.test } }",
            "mydestination": "local.test",
            "local_recipient_maps": "",
            "alias_maps": "inline:{ { team = out@refused.test } }",
            "enable_long_queue_ids": "yes",
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "1s",
            "queue_run_delay": "1s",
        },
    )
    postfix.more_services = PIPES

    def answer(recipient: str) -> str:
        return f"550 5.1.1 {recipient}: User unknown" if "@refused.test" in recipient else ""

    with Sink(ports["sink"], answer), postfix:
        yield Site(folder, postfix, ports)


def test_a_mail_that_is_sent(site: Site) -> None:
    (event,) = site.of(site.send("you@example.test"), "you@example.test")
    assert (event.type, event.delv_method, event.enhanced_code) == ("delivery", "virtual", "2.0.0")
    assert event.message_id_header.startswith("<")
    assert (event.num_retries, event.raw_reason, event.bounce_class) == (0, "", 0)
    assert 0 <= event.queue_time < 20_000


def test_a_mail_that_another_host_takes(site: Site) -> None:
    """The sink is on this machine, and gives no queue id: that is a delivery."""
    (event,) = site.of(site.send("you@relay.test"), "you@relay.test")
    assert (event.type, event.delv_method, event.remote_address) == ("delivery", "esmtp", "127.0.0.1")


def test_a_mail_that_another_host_refuses(site: Site) -> None:
    (event,) = site.of(site.send("you@refused.test"), "you@refused.test")
    assert (event.type, event.error_code, event.enhanced_code, event.bounce_class) == (
        "bounce",
        "550",
        "5.1.1",
        10,
    )
    assert "User unknown" in event.raw_reason
    assert "you@" not in event.raw_reason


def test_a_mail_that_bounces_here(site: Site) -> None:
    (event,) = site.of(site.send("bounce@example.test"), "bounce@example.test")
    assert (event.type, event.delv_method, event.bounce_class) == ("bounce", "pipe", 10)
    assert event.raw_reason == "user unknown. Command output: no <…> of that name"


@pytest.mark.parametrize("recipient", ["defer@example.test", "you@closed.test"])
def test_a_mail_that_is_deferred_again_and_again(site: Site, recipient: str) -> None:
    events = site.of(site.send(recipient), recipient, 2)
    assert {event.type for event in events} == {"delay"}
    assert [event.num_retries for event in events][:2] == [0, 1]
    assert events[1].queue_time > events[0].queue_time
    assert events[0].bounce_class in (24, 70)


def test_a_mail_that_expires(site: Site) -> None:
    queue_id = site.send("defer@example.test", "you@example.test")
    site.of(queue_id, "defer@example.test")
    site.postfix._options["maximal_queue_lifetime"] = "1s"
    site.postfix.configure()
    site.postfix.reload()
    try:
        site.postfix.flush()

        def expired() -> list[MessageEvent]:
            events = site.of(queue_id, "defer@example.test")
            return [event for event in events if event.type == "expiration"]

        until(expired, 20, site.postfix.last_lines(20))
        (event,) = expired()
        assert event.num_retries >= 1
        assert [each.type for each in site.of(queue_id, "you@example.test")] == ["delivery"]
    finally:
        del site.postfix._options["maximal_queue_lifetime"]
        site.postfix.configure()
        site.postfix.reload()


def test_a_mail_that_is_discarded(site: Site) -> None:
    (event,) = site.of(site.send("discard@example.test"), "discard@example.test")
    assert (event.type, event.bounce_class, event.raw_reason) == ("bounce", 25, "because")


def test_several_recipients_of_one_mail(site: Site) -> None:
    recipients = ("a@example.test", "bounce@example.test", "b@relay.test", "c@refused.test")
    queue_id = site.send(*recipients)
    assert [site.of(queue_id, each)[0].type for each in recipients] == [
        "delivery", "bounce", "delivery", "bounce",
    ]  # fmt: skip


def test_an_alias_leads_to_the_recipient_who_was_written_to(site: Site) -> None:
    events = site.of(site.send("list@example.test"), "list@example.test", 2)
    assert [event.type for event in events] == ["delivery", "delivery"]


def test_an_alias_of_the_local_agent_leads_there_too_and_is_no_delivery(site: Site) -> None:
    (event,) = site.of(site.send("team@local.test"), "team@local.test")
    assert (event.type, event.error_code, event.delv_method) == ("bounce", "550", "esmtp")


def test_a_mail_that_is_filtered_and_comes_back(site: Site) -> None:
    recipients = ("you@example.test", "bounce@example.test", "two@relay.test")
    queue_id = site.send(*recipients, port="filtered")
    for recipient, kind in zip(recipients, ("delivery", "bounce", "delivery"), strict=True):
        (event,) = site.of(queue_id, recipient)
        assert (event.type, event.queue_id != queue_id) == (kind, True)


def test_a_log_that_is_rotated(site: Site) -> None:
    """As `postfix logrotate` does: renamed, then Postfix is told."""
    before = site.send("rotated@example.test")
    site.of(before, "rotated@example.test")
    site.postfix.log.rename(site.postfix.log.with_name("mail.log.1"))
    between = site.send("rotated@example.test")
    site.postfix.reload()
    after = site.send("rotated@example.test")
    for queue_id in (before, between, after):
        (event,) = site.of(queue_id, "rotated@example.test")
        assert event.type == "delivery"
