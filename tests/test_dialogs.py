"""Runs tests/dialogs/*.dlg (see the README there) against the real filter, over the milter protocol."""

import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from milter_client import Answer, MilterClient
from mta.mta_site import LISTENER, SMTPAPI, Filter, until

_HERE = Path(__file__).parent
_DIALOGS = sorted((_HERE / "dialogs").glob("*.dlg"))
_CONTEXT = LISTENER.replace(
    "ESMTP_Listener {", "ESMTP_Listener {\n  SMTP_Extensions = (XSETCONTEXT XDUMPCONTEXT XREMOTEIP)"
)


@pytest.fixture(scope="module")
def filters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Filter]]:
    """One filter for each fault and set of limits, started when first wanted."""
    running: dict[tuple[str, str], Filter] = {}
    yield running
    for site in running.values():
        assert site.process is not None
        site.process.terminate()
    for site in running.values():
        site.stop()


@dataclass
class _Run:
    site: Filter
    client: MilterClient | None = None
    fields: list[tuple[str, bytes]] = field(default_factory=list)
    body: bytes = b""
    answer: Answer | None = None
    sent: tuple[list[tuple[str, bytes]], bytes] = ([], b"")
    before: dict[str, int] = field(default_factory=dict)
    log_from: int = 0

    def send(self, verb: str, rest: str) -> None:
        if verb == "connect":
            address, *macros = shlex.split(rest)
            self.client = MilterClient(self.site.socket)
            self.client.connect(address, dict(word.split("=", 1) for word in macros))
            return
        assert self.client is not None, "connect comes first"
        match verb:
            case "helo":
                self.client.step("H", rest.encode() + b"\0")
            case "command":
                self.client.unknown(_octets(rest))
            case "mail":
                address, *parameters = shlex.split(rest)
                login = {"{auth_authen}": parameters[0].removeprefix("login=")} if parameters else {}
                self.client.step("M", b"<" + _octets(address) + b">\0", login)
                self.fields, self.body = [], b""
            case "rcpt":
                self.client.step("R", b"<" + _octets(rest) + b">\0")
            case "header":
                name, _, value = rest.partition(":")
                self.fields.append((name, _octets(value)))
            case "body":
                count, star, text = rest.partition(" * ")
                times = int(count) if star and count.isdigit() else 1
                self.body += (_octets(text if star and count.isdigit() else rest) + b"\r\n") * times
            case "end":
                self.client.content(self.fields, self.body)
                self.sent = (list(self.fields), self.body)
                self.answer = self.client.end(self.fields, self.body)
            case "abort":
                self.client.abort()
            case "quit":
                self.client.quit()
            case _:
                raise AssertionError(f"unknown word: > {verb}")

    def check(self, verb: str, rest: str) -> None:
        answer = self.answer
        assert answer is not None, "nothing was answered yet"
        head = {name.lower() for name, _ in answer.fields}
        match verb:
            case "unchanged":
                assert not answer.changes
                assert (answer.fields, answer.body) == self.sent
            case "asked":
                changes = ["body" if one[0] == "body" else " ".join(one) for one in answer.changes]
                assert list(dict.fromkeys(changes)) == [one.strip() for one in rest.split(";")]
            case "header":
                name, _, value = rest.partition(":")
                assert (name, _octets(value)) in answer.fields
            case "no":
                assert rest.removeprefix("header ").lower() not in head
            case "body":
                assert _octets(rest) in answer.body
            case "links":
                count, *targets = rest.split()
                opened = self.site.links(answer.body)
                assert len(opened) == int(count)
                assert [one.link.target.decode() for one in opened if one.link] == targets
            case "recipient":
                assert {one.identity.recipient for one in self.site.links(answer.body)} == {rest}
            case "counted":
                until(lambda: self.site.counts()[rest] == self.before[rest] + 1, 5, rest)
            case "log":
                until(lambda: rest in self.site.log_text()[self.log_from :], 5, rest)
            case _:
                raise AssertionError(f"unknown word: = {verb}")


def _octets(text: str) -> bytes:
    raw = text.replace("\\n", "\n").replace("\\t", "\t").encode()
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), raw)


@pytest.mark.parametrize("file", _DIALOGS, ids=lambda file: file.stem)
def test_dialog(
    file: Path,
    filters: dict[tuple[str, str], Filter],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    fault = next((line.split()[1] for line in lines if line.startswith("fault ")), "")
    limits = " ".join("{} = {}".format(*line.split()[1:]) for line in lines if line.startswith("limit "))
    site = filters.get((fault, limits))
    if site is None:
        faulty = (sys.executable, str(_HERE / "mta" / "faulty_filter.py"), fault)
        program = faulty if fault else (str(SMTPAPI),)
        site = Filter(
            tmp_path_factory.mktemp("dialogs"),
            _CONTEXT,
            more=f"limits {{ {limits} }}",
            program=program,
        )
        filters[fault, limits] = site.start()
    run = _Run(site, before=site.counts(), log_from=len(site.log_text()))
    for line in lines:
        if line.startswith(("fault ", "limit ")):
            continue
        mark, _, rest = line.partition(" ")
        try:
            match mark:
                case ">":
                    run.send(*_split(rest))
                case "<":
                    assert run.answer is not None
                    assert run.answer.verdict == rest
                case "=":
                    run.check(*_split(rest))
                case _:
                    raise AssertionError("a line begins with >, <, = or #")
        except AssertionError as error:
            raise AssertionError(f"{file.name}: {line}: {error}") from error


def _split(text: str) -> tuple[str, str]:
    verb, _, rest = text.partition(" ")
    return verb, rest


def test_there_are_dialogs() -> None:
    assert len(_DIALOGS) > 10
