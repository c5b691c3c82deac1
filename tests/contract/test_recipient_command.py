"""`smtpapi recipient export` and `erase`, on each engine that is kept on disk."""

import json
from pathlib import Path
from secrets import token_hex

import pytest
from click.testing import CliRunner, Result

from cassandra_site import Node
from contract.store_samples import SampleRows
from engagement.settings import load_file
from engagement.spool.write import SpoolWriter
from engagement.stores import migrate_store, open_store
from smtpapi.commands import main


@pytest.fixture(params=["sqlite", "cassandra"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "smtpapi.conf"
    store = f'store {{ path = "{tmp_path}/lib/events.db" retention = 3153600000 }}\n'
    if request.param == "cassandra":
        node: Node = request.getfixturevalue("cassandra_node")
        # A keyspace of its own: what another test erased would stay erased, as the samples lie before that.
        stanza = node.stanza(f"recipient_{token_hex(4)}")
        store = "store { engine = cassandra retention = 3153600000 }\n" + stanza
    path.write_text(f'smtpapi {{ }}\nspool {{ directory = "{tmp_path}/spool" }}\n{store}')
    migrate_store(load_file(path), lambda _: None)
    return path


def say(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["recipient", *arguments, "--config", str(config)])


def test_what_is_kept_is_handed_out_and_removed(config: Path, sample: SampleRows) -> None:
    mine = sample.injection() + sample.hit() + sample.hit(at=1, expired=True)
    store = open_store(load_file(config), writing=True)
    store.add(mine + sample.hit(message=2, recipient="ole@example.net"))
    store.close()
    lines = [json.loads(line) for line in say(config, "export", "Ida@Example.NET").output.splitlines()]
    assert {line["event_id"] for line in lines} == {row.event_id for row in mine}
    done = say(config, "erase", "--yes", "ida@example.net")
    assert (done.exit_code, done.output) == (0, "3 event(s) removed\n")
    assert say(config, "export", "ida@example.net").output == ""
    assert len(say(config, "export", "ole@example.net").output.splitlines()) == 1
    database = config.parent / "lib" / "events.db"
    if database.exists():
        assert b"ida@example.net" not in database.read_bytes()
        assert b"ida@example.net" not in Path(f"{database}-wal").read_bytes().lower()


@pytest.mark.parametrize("requested", ["ida@XN--mller-kva.example", "Ida@Müller.example"])
def test_a_domain_in_letters_and_as_the_dns_has_it_is_one_recipient(
    config: Path, sample: SampleRows, requested: str
) -> None:
    store = open_store(load_file(config), writing=True)
    for number, address in enumerate(
        ("ida@müller.example", "Ida@xn--mller-kva.example", "ole@müller.example")
    ):
        store.add(sample.hit(message=20 + number, recipient=address))
    store.close()
    writer = SpoolWriter(config.parent / "spool")
    writer.append(b"not an event, of Ida@xn--mller-kva.example, and of ida@m\xc3\xbcller.example")
    writer.close()
    assert CliRunner().invoke(main, ["ship", "--once", "--config", str(config)]).exit_code == 0
    assert len(say(config, "export", requested).output.splitlines()) == 2
    done = say(config, "erase", "--yes", requested)
    assert (done.exit_code, done.output.splitlines()[0]) == (0, "2 event(s) removed")
    assert "overwritten in 1 file(s)" in done.output
    assert say(config, "export", requested).output == ""
    assert len(say(config, "export", "ole@müller.example").output.splitlines()) == 1


def test_what_waits_in_the_spool_is_told_of(config: Path) -> None:
    writer = SpoolWriter(config.parent / "spool")
    writer.append(b"not an event, of Ida@example.net")
    writer.close()
    done = say(config, "erase", "--yes", "--wait", "0", "ida@example.net")
    assert (done.exit_code, "still wait" in done.output) == (1, True)
    shipped = CliRunner().invoke(main, ["ship", "--once", "--config", str(config)])
    assert shipped.exit_code == 0
    done = say(config, "erase", "--yes", "ida@example.net")
    assert (done.exit_code, "overwritten in 1 file(s)" in done.output) == (0, True)


def test_h19_erasing_says_what_goes_and_asks(config: Path, sample: SampleRows) -> None:
    store = open_store(load_file(config), writing=True)
    store.add(
        sample.hit(message=9, recipient="eva@example.net")
        + sample.hit(message=9, recipient="eva@example.net", at=20_000)
    )
    store.close()
    for answer in ("n\n", ""):
        prompted = CliRunner().invoke(
            main, ["recipient", "erase", "eva@example.net", "--config", str(config)], input=answer
        )
        assert (prompted.exit_code, "2 event(s) of messages to eva@example.net" in prompted.output) == (
            1,
            True,
        )
        assert len(say(config, "export", "eva@example.net").output.splitlines()) == 2
    agreed = CliRunner().invoke(
        main, ["recipient", "erase", "eva@example.net", "--config", str(config)], input="y\n"
    )
    assert (agreed.exit_code, agreed.output.splitlines()[-1]) == (0, "2 event(s) removed")


@pytest.mark.parametrize("text", ["ida", "ida@", "@example.net", "ida@example net", "ida@example.net\x1b[2J"])
def test_h19_what_is_no_address_is_refused(config: Path, text: str) -> None:
    for arguments in (["erase", "--yes"], ["export"]):
        done = say(config, *arguments, text)
        assert (done.exit_code, "is no address" in done.output) == (2, True)
