"""Read a policy's tokens for calls that a milter cannot do, so that loading refuses them and not a mail.

What stands in the text is checked, not what is run: a call by another name is refused when it is made.
"""

import difflib
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from smtpapi.policy.lua.calls import (
    CALLS,
    HOOKS,
    LIFE_CYCLE,
    OFFERED,
    Runs,
    is_refused_hook,
    never_called,
    refused,
    refused_module,
)
from smtpapi.policy.lua.dialect import Token

# The names that a hook's arguments have where a policy gives them others: by the letters in `HOOKS`.
_KINDS = {"m": "msg", "a": "ac", "v": "vctx"}
_COMMON = {"msg": "msg", "message": "msg", "vctx": "vctx", "ac": "ac", "accept": "ac", "part": "part"}
_ROOTS = frozenset(
    [
        "msys",
        "json",
        "thread",
        "httpsrv",
        "curl",
        "xml",
        "threadpool",
        "io",
        "os",
        "debug",
        "dofile",
        "loadfile",
        "load",
        "loadstring",
        "collectgarbage",
        "getfenv",
        "setfenv",
        "newproxy",
        "package",
        "string",
    ]
)
_GLOBALS = frozenset(name for name in CALLS if "." not in name and ":" not in name)


class Finding(NamedTuple):
    """Something that a policy asks for. fatal: it does not load so. name: the call or hook.

    hook: whether it is a hook that is never called; the policy loads where others beside it are.
    """

    line: int
    name: str
    what: str
    fatal: bool
    hook: bool = False


def findings(tokens: Sequence[Token], ignored: Container[str], own: Container[str] = ()) -> Iterator[Finding]:
    """Yield what a milter cannot do of all that is called by name, and what nobody knows.

    ignored: names that the operator lets do nothing. own: modules of the policy's own.
    """
    arguments = dict(_COMMON)
    defined = _locals(tokens)
    for at, token in enumerate(tokens):
        if token.kind != "name":
            continue
        if token.text == b"function":
            yield from _hook(tokens, at, arguments, ignored)
            continue
        before = tokens[at - 1].text if at else b""
        if before in (b".", b":", b"function"):
            continue
        if token.text == b"require":
            yield from _require(tokens, at, ignored, own)
            continue
        name = token.text.decode()
        if name in arguments:
            yield from _method(tokens, at, arguments[name], ignored)
        elif name in _ROOTS and name not in defined:
            yield from _call(tokens, at, ignored)


def _locals(tokens: Sequence[Token]) -> frozenset[str]:
    """Return the names to which the policy itself gives another meaning."""
    found = set()
    for at, token in enumerate(tokens[:-2]):
        if token.text == b"local" and tokens[at + 1].kind == "name" and tokens[at + 2].text != b"=":
            found.add(tokens[at + 1].text.decode())
        if token.text == b"function" and tokens[at + 1].kind == "name" and tokens[at + 2].text == b"(":
            found.add(tokens[at + 1].text.decode())
    return frozenset(found)


def _hook(
    tokens: Sequence[Token], at: int, arguments: dict[str, str], ignored: Container[str]
) -> Iterator[Finding]:
    """Read the head of a function: is it a hook, and how does it call its arguments?"""
    names = []
    position = at + 1
    while position < len(tokens) and tokens[position].text != b"(":
        if tokens[position].kind == "name":
            names.append(tokens[position].text.decode())
        position += 1
    if not names and at >= 2 and tokens[at - 1].text == b"=" and tokens[at - 2].kind == "name":
        names = [tokens[at - 2].text.decode()]  # name = function(self, …)
    if not names:
        return
    hook = names[-1]
    if is_refused_hook(hook) and hook not in ignored:
        yield Finding(tokens[at].line, hook, never_called(hook), fatal=False, hook=True)
    if hook not in HOOKS:
        near = difflib.get_close_matches(hook, (*HOOKS, *LIFE_CYCLE), 1, 0.8)
        if near and hook.startswith("validate_") and not is_refused_hook(hook):
            what = f"no hook is named {hook}; did you mean {near[0]}?"
            yield Finding(tokens[at].line, hook, what, fatal=True)
        return
    given = []
    for token in tokens[position + 1 :]:
        if token.text == b")":
            break
        if token.kind == "name":
            given.append(token.text.decode())
    shape = HOOKS[hook]
    if len(given) == len(shape) + 1 and given[0] == "self":
        given = given[1:]
    for letter, name in zip(shape, given, strict=False):
        if letter in _KINDS:
            arguments[name] = _KINDS[letter]


def _require(
    tokens: Sequence[Token], at: int, ignored: Container[str], own: Container[str]
) -> Iterator[Finding]:
    position = at + 1
    if position < len(tokens) and tokens[position].text == b"(":
        position += 1
    if position >= len(tokens) or tokens[position].kind != "text":
        return
    name = tokens[position].text.strip(b"\"'").decode("utf-8", "replace")
    if name in OFFERED or name in ignored or name in own:
        return
    if refused_module(name):
        yield Finding(tokens[at].line, name, refused(name), fatal=True)


def _method(tokens: Sequence[Token], at: int, kind: str, ignored: Container[str]) -> Iterator[Finding]:
    """Check `msg:name(…)`, or a field `msg.name`."""
    if at + 2 >= len(tokens) or tokens[at + 1].text not in (b":", b".") or tokens[at + 2].kind != "name":
        return
    sign, word = tokens[at + 1].text.decode(), tokens[at + 2].text.decode()
    line = tokens[at + 2].line
    name = f"{kind}{sign}{word}"
    following = [token.text for token in tokens[at + 3 : at + 5]]
    if sign == "." and following[:1] == [b"("]:
        name = f"{kind}:{word}"  # msg.header(msg, …)
    yield from _checked(name, line, ignored)
    if sign == ":" and following[:1] == [b"("]:
        for long in (each for each in CALLS if each.startswith(name + "(")):
            if CALLS[long] is Runs.NO and _has_arguments(tokens, at + 3, long) and long not in ignored:
                yield Finding(line, long, refused(long), fatal=True)
    elif sign == ":" and name not in CALLS and following[:1] and following[0][:1] in (b'"', b"'", b"{"):
        yield from _unknown(name, line)
    if sign == ":" and name not in CALLS and following[:1] == [b"("]:
        yield from _unknown(name, line)


def _has_arguments(tokens: Sequence[Token], opening: int, long: str) -> bool:
    """Return whether a call has the arguments that this form of it is refused for."""
    first = tokens[opening + 1].text if opening + 1 < len(tokens) else b")"
    if long.endswith("(false)"):
        return first == b"false"
    if "," not in long:
        return first != b")"
    depth = 0
    for token in tokens[opening:]:
        if token.text in (b"(", b"{", b"["):
            depth += 1
        elif token.text in (b")", b"}", b"]"):
            depth -= 1
            if depth == 0:
                return False
        elif token.text == b"," and depth == 1:
            return True
    return False


def _call(tokens: Sequence[Token], at: int, ignored: Container[str]) -> Iterator[Finding]:
    """Check a name with dots: any part of it that is refused refuses the whole."""
    parts = [tokens[at].text.decode()]
    position = at + 1
    while (
        position + 1 < len(tokens)
        and tokens[position].text in (b".", b":")
        and tokens[position + 1].kind == "name"
    ):
        parts.append(tokens[position + 1].text.decode())
        position += 2
    follows = tokens[position].text if position < len(tokens) else b""
    called = follows == b"(" or follows[:1] in (b'"', b"'", b"{")
    for length in range(1, len(parts) + 1):
        name = ".".join(parts[:length])
        if CALLS.get(name) is Runs.NO:
            if name in _GLOBALS and length == len(parts) and not called:
                return  # a table's field of that name, or a test whether it is there
            yield from _checked(name, tokens[at].line, ignored)
            return
    name = ".".join(parts)
    if called and parts[0] == "msys" and name not in CALLS:
        yield from _unknown(name, tokens[at].line)


def _checked(name: str, line: int, ignored: Container[str]) -> Iterator[Finding]:
    if CALLS.get(name) is Runs.NO and name not in ignored:
        yield Finding(line, name, refused(name), fatal=True)


def _unknown(name: str, line: int) -> Iterator[Finding]:
    if name not in CALLS:
        yield Finding(
            line, name, f"{name} is not known here; calling it fails the mail's policy", fatal=False
        )
