"""Published Lua policies through the loader: each loads and runs for a mail, or is refused with what to do.

`PYTHONPATH=milter:. python tests/lua/survey.py FOLDER…` prints a table, and how many are refused for what.
FOLDER: the git directory of a repository, `FOLDER:PATH` for a part of it. A policy is a `.lua` file or a
block of a page that registers a module. Nothing of the repositories is kept here. `--unbound` leaves out the
one line of configuration that policies need which choose a binding.

What a site brings itself is stood in for: lists of networks and tables that a policy names are there, and
empty.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from smtpapi.model.envelope import Client, Envelope
from smtpapi.model.message import Field, Message
from smtpapi.policy import phases
from smtpapi.policy.hooks import PolicyError, PolicyFailed
from smtpapi.policy.lua import policy as lua_policy
from smtpapi.policy.lua.library.cidr import NetworkLists
from smtpapi.policy.lua.library.datasource import DataSources, Rows, Values
from smtpapi.policy.lua.policy import LuaPolicy, LuaSource
from smtpapi.policy.vctx import ValidationContext
from smtpapi.policy.views import PolicyMessage

_BLOCK = re.compile(r"^([ ]*)```\w*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_REGISTERS = re.compile(rb"\bregisterModule\s*\(")
_REFUSED = re.compile(r"(\S+): a milter cannot do this")
# What has nothing to do with tracking: scanners, signing, delivery and what is no mail, consoles.
_OTHER_KIND = re.compile(
    rb"""msys\.(?:extended\.)?(?:av|cloudmark|brightmail|csapi|expurgate|symantec\w*|spam\w+)\b
    |msys\.validate\b|opendkim|openarc|dkim2|\bmsys\.dkim|msys\.(?:delivery|bounce|rfc3464|gcm|apn|smpp)\b
    |http_request_eval|generic_delivery|core_get_outbound_tls|core_smtp_tls_reporting|tls_params
    |registerControl|registerAuth|ac_auth_|httpsrv|\bjlog\b
    """,
    re.VERBOSE,
)
_FIELDS = (
    Field("From", b' "A" <a@sender.test>'),
    Field("To", b" b@rcpt.test"),
    Field("Reply-To", b" a@sender.test"),
    Field("Subject", b" hello"),
    Field("X-Binding", b" b1"),
    Field("Message-ID", b" <1@sender.test>"),
    Field("Content-Type", b" text/plain"),
)


class Published(NamedTuple):
    """A policy as it stands in a repository. path: where it was written down."""

    name: str
    path: Path
    text: bytes


class Outcome(NamedTuple):
    """What became of one. became: "runs", "raises" or "refused". why: what is refused, or the error."""

    became: str
    why: str


class _Lists(NetworkLists):
    """Lists of networks, empty where a policy's own is missing."""

    def define(self, name: str, kind: str, source: str, *rest: object) -> None:
        kind = kind if Path(source).exists() else "empty"
        super().define(name, kind, source, *rest)  # type: ignore[arg-type] # passed on as they are


class _Tables(DataSources):
    """Datasources whose tables are empty."""

    def query(self, name: str, text: str, values: Values, *, cached: bool) -> Rows:
        return Rows((), ())


def published(place: str, into: Path) -> Iterator[Published]:
    """Every policy of a repository, written into a folder beside the modules that it may require."""
    folder, _, under = place.partition(":")
    listed = _git(folder, "ls-tree", "-r", "HEAD", "--name-only", *([under] if under else []))
    for name in listed.decode().split("\n"):
        if name.endswith(".lua"):
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_git(folder, "show", f"HEAD:{name}"))
    for name in listed.decode().split("\n"):
        if name.endswith(".lua"):
            if _REGISTERS.search(text := (into / name).read_bytes()):
                yield Published(name, into / name, text)
        elif name.endswith(".md"):
            page = _git(folder, "show", f"HEAD:{name}").decode("utf-8", "replace")
            for number, block in enumerate(_BLOCK.finditer(page)):
                if _REGISTERS.search(text := block[2].replace("**", "").encode()):
                    path = into / f"{name.replace('/', '_')}-{number}.lua"
                    path.write_bytes(text)
                    yield Published(f"{name} {number}", path, text)


def _git(folder: str, *arguments: str) -> bytes:
    return subprocess.run(["git", f"--git-dir={folder}", *arguments], capture_output=True, check=True).stdout


def outcome(one: Published, binding_header: str) -> Outcome:
    """What becomes of a policy that is loaded and meets a mail for two."""
    try:
        with mock.patch.object(lua_policy, "NetworkLists", _Lists):
            policy = LuaPolicy(
                [LuaSource(one.path, one.text)],
                Path.read_bytes,
                binding_header=binding_header,
                data=_Tables({}),
            )
    except PolicyError as error:
        message = str(error).removeprefix(str(one.path))
        found = _REFUSED.search(message)
        return Outcome("refused", found[1] if found else message)
    try:
        _meet(policy)
    except PolicyFailed as failed:
        return Outcome("raises", str(failed).removeprefix(str(one.path)))
    return Outcome("runs", "")


def _meet(policy: LuaPolicy) -> None:
    client = Client("192.0.2.7", "client.test", "", "198.51.100.1", 25, "", "client.test")
    envelope = Envelope(client, "a@sender.test", ("b@rcpt.test", "c@other.test"), "Q1")
    vctx = ValidationContext({})
    mail = PolicyMessage(envelope, Message(_FIELDS, b"Hello.\r\n"))
    try:
        phases.message(policy, envelope, mail, vctx)
        for recipient in mail.recipients:
            phases.each(policy, envelope, mail.for_recipient(recipient), vctx.for_recipient())
    finally:
        mail.close()


def main(places: list[str], binding_header: str) -> int:
    """Print the table and the counts. How many policies of our kind run."""
    became: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    others = 0
    with tempfile.TemporaryDirectory() as temporary:
        for number, place in enumerate(places):
            into = Path(temporary) / str(number)
            into.mkdir()
            for each in published(place, into):
                found = outcome(each, binding_header)
                other = found.became != "runs" and _OTHER_KIND.search(each.text) is not None
                if other:
                    others += 1
                else:
                    became[found.became] += 1
                    reasons[f"{found.became}: {found.why}"] += found.became != "runs"
                kind = "other kind" if other else found.became
                sys.stdout.write(f"{kind:10} {each.name} {found.why}\n".replace(f"{temporary}/{number}/", ""))
    sys.stdout.write("\n")
    for reason, count in reasons.most_common():
        if count:
            sys.stdout.write(f"{count:3} {reason}\n".replace(temporary, ""))
    ours = sum(became.values())
    sys.stdout.write(
        f"{ours + others} policies; {others} are scanners, signing, delivery or console and refused; of the "
        f"other {ours} run {became['runs']}, {became['refused']} are refused, {became['raises']} raise\n"
    )
    return became["runs"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument(
        "--unbound", action="store_true", help='without policy { binding_header = "X-Binding" }'
    )
    parser.add_argument("--least", type=int, default=0, help="how many must run")
    given = parser.parse_args()
    sys.exit(main(given.folders, "" if given.unbound else "X-Binding") < given.least)
