"""Milter clients that others wrote: miltertest, of OpenDKIM, and one over the Go library go-milter.

Each carries mail to the filter and tells its `Answer`, as our own client does (`milter_client`). Debian has
miltertest; `.ci/go_client` builds the other. An answer that asks for more than was granted is an error here;
and go-milter ends a session whose filter wants more when they negotiate.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from milter_client import Answer, change_field, parsed

_HERE = Path(__file__).resolve().parent
GO_CLIENT = Path(os.environ.get("GO_MILTER_CLIENT", _HERE.parents[1] / ".test" / "go_client" / "go_client"))
_SECONDS = 60

ACTIONS = {
    "ADDHDRS": 0x1, "CHGBODY": 0x2, "ADDRCPT": 0x4, "DELRCPT": 0x8, "CHGHDRS": 0x10, "QUARANTINE": 0x20,
    "CHGFROM": 0x40, "ADDRCPT_PAR": 0x80, "SETSYMLIST": 0x100,
}  # fmt: skip
_SINCE_6 = ("CHGFROM", "ADDRCPT_PAR", "SETSYMLIST")
# By version, the steps that can be left out; 6 has answers that can be, too, and exact header values.
_STEPS = {2: 0x7F, 3: 0x17F, 4: 0x37F, 5: 0x37F, 6: 0x1FFFFF}
_NEEDS = {
    "add": "ADDHDRS", "insert": "ADDHDRS", "change": "CHGHDRS", "delete": "CHGHDRS", "body": "CHGBODY",
    "add recipient": "ADDRCPT", "remove recipient": "DELRCPT",
}  # fmt: skip
# The filter's own fields, which miltertest has to be asked for one by one.
_NAMES = ("X-MSYS-API", "X-Smtpapi-Id", "X-Smtpapi-Split")


class Offer(NamedTuple):
    """What the MTA says when it negotiates. granted: names of `ACTIONS`."""

    version: int
    granted: frozenset[str]

    @property
    def actions(self) -> int:
        return sum(ACTIONS[name] for name in self.granted)


def offer(version: int, *withheld: str) -> Offer:
    """All that an MTA of this version grants, but what is withheld."""
    known = (name for name in ACTIONS if version >= 6 or name not in _SINCE_6)
    return Offer(version, frozenset(known) - set(withheld))


@dataclass(frozen=True)
class Mail:
    """raw: header and body with CRLF. login: by which the client is known."""

    raw: bytes
    recipients: tuple[str, ...] = ("b@r.test",)
    login: str = ""


@dataclass(frozen=True)
class Peer:
    """A client of the MTA. family: U for one that has no address."""

    mails: tuple[Mail, ...]
    address: str = "127.0.0.1"
    family: str = "4"
    port: str = "25"


def through_go(socket: Path, what: Offer, *peers: Peer) -> list[Answer]:
    """Each mail's answer. Peers after the first come over the same connection (SMFIC_QUIT_NC)."""
    if not GO_CLIENT.exists():
        raise FileNotFoundError(f"{GO_CLIENT}: run .ci/go_client, which builds it")
    talk = {
        "socket": str(socket),
        "version": what.version,
        "actions": what.actions,
        "clients": [_peer(each) for each in peers],
    }
    done = subprocess.run(
        [GO_CLIENT], input=json.dumps(talk).encode(), capture_output=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    mails = [mail for each in peers for mail in each.mails]
    answers = [_answer(mail, each) for mail, each in zip(mails, lines, strict=True)]
    for each in answers:
        _is_within(what, each)
    return answers


def _is_within(what: Offer, answer: Answer) -> None:
    needed = {_NEEDS[one[0]] for one in answer.changes}
    assert needed <= what.granted, (answer.changes, what)


def _peer(peer: Peer) -> dict[str, object]:
    return {
        "family": peer.family,
        "address": peer.address,
        "macros": _macros(peer),
        "messages": [_message(mail) for mail in peer.mails],
    }


def _macros(peer: Peer) -> dict[str, str]:
    name = "mail.example.test"
    macros = {"j": name, "{daemon_name}": name, "{daemon_addr}": "127.0.0.1", "{daemon_port}": peer.port}
    return macros | ({"{client_addr}": peer.address} if peer.family != "U" else {})


def _message(mail: Mail) -> dict[str, object]:
    fields, body = parsed(mail.raw)
    return {
        "sender": "a@s.test",
        "recipients": mail.recipients,
        "fields": [(name, value.decode()) for name, value in fields],
        "body": base64.b64encode(body).decode(),
        "login": mail.login,
    }


def _answer(mail: Mail, reply: Mapping[str, Any]) -> Answer:
    """What the client told, done to the mail."""
    fields, body = parsed(mail.raw)
    answer = Answer(reply["reply"] or reply["verdict"], fields=list(fields), body=body)
    assert reply["step"] == "end", reply
    chunks = []
    for each in reply["changes"]:
        what, name, value = each["what"], each["name"], each["value"]
        if what == "body":
            chunks.append(base64.b64decode(each["body"]))
        elif what == "add":
            # Without the leading-space option an MTA puts a blank before what is added.
            answer.fields.append((name, (value if reply["exact"] else " " + value).encode()))
        elif what == "change":
            what = "change" if value else "delete"
            change_field(answer.fields, name, each["index"], value.encode())
        answer.changes.append((what, name))
    if chunks:
        answer.body = b"".join(chunks)
    return answer


def through_miltertest(socket: Path, what: Offer, peer: Peer, expected: bytes = b"") -> Answer:
    """The answer to the peer's only mail, which has to be small: miltertest reads 1,024 octets at most.

    It shows no body and no reply but compares: where `expected` is what came, it is in the answer. Changes of
    fields with other names than ours are told without name, and recipients added are not told. It has no
    second client for a connection (SMFIC_QUIT_NC).
    """
    (mail,) = peer.mails
    fields, body = parsed(mail.raw)
    given = {
        "socket": str(socket),
        "version": str(what.version),
        "steps": str(_STEPS[what.version]),
        "actions": str(what.actions),
        "address": peer.address if peer.family != "U" else "unspec",
        "port": peer.port,
        "login": mail.login,
        "recipients": "\n".join(mail.recipients),
        "fields": "\n".join(f"{name}:{value.decode()}" for name, value in fields),
        "body": body.decode(),
        "expected": expected.decode(),
        "names": "\n".join(_NAMES),
    }
    assert shutil.which("miltertest"), "run .ci/system test, which installs it"
    script = _HERE / "miltertest" / "session.lua"
    arguments = (f"-D{name}={value}" for name, value in given.items())
    done = subprocess.run(
        ["miltertest", *arguments, "-s", str(script)],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert "ended" not in shown, shown
    taken = {name for name in ACTIONS if shown.get(f"takes-{name}") == "true"}
    assert taken <= what.granted, (taken, what)
    answer = _compared(mail, what, shown, expected)
    _is_within(what, answer)
    return answer


def _compared(mail: Mail, what: Offer, shown: Mapping[str, str], expected: bytes) -> Answer:
    fields, body = parsed(mail.raw)
    answer = Answer(shown["verdict"], fields=list(fields), body=body)
    if shown["replied"] == "true":
        answer.verdict = expected.decode()
    changes = answer.changes
    for name in _NAMES:
        if shown[f"deleted-{name}"] == "true":
            changes.append(("delete", name))
            change_field(answer.fields, name, 1, b"")
        if shown[f"added-{name}"] == "true":
            changes.append(("add", name))
            value = shown[f"value-{name}"].replace("\\n", "\n").encode()
            answer.fields.append((name, value if what.version >= 6 else b" " + value))
    changes += _others(shown, [verb for verb, _ in changes])
    changes += [
        ("remove recipient", f"<{each}>") for each in mail.recipients if shown[f"removed-{each}"] == "true"
    ]
    if shown["body"] == "true":
        changes.append(("body", ""))
        answer.body = expected if shown["expected"] == "true" else b"another body"
    return answer


def _others(shown: Mapping[str, str], named: Iterable[str]) -> list[tuple[str, ...]]:
    """Changes of fields that have none of our names."""
    every = {"added": "add", "deleted": "delete", "inserted": "insert"}
    return [(what, "?") for word, what in every.items() if shown[word] == "true" and what not in named]
