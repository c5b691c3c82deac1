"""What a policy's Lua calls in Python about the message that its state serves (`library` has the rest)."""

import re
from collections.abc import Callable, Iterable

from smtpapi.policy.core import VCTX_CONN, VCTX_MESS
from smtpapi.policy.hooks import HookCall
from smtpapi.policy.lua.library import patterns, texts
from smtpapi.policy.lua.library.cidr import ListError
from smtpapi.policy.lua.library.functions import LARGEST, Library, Shared, octets, word
from smtpapi.policy.lua.library.outside import Outside
from smtpapi.policy.lua.library.patterns import PatternError
from smtpapi.policy.lua.library.texts import peer_address
from smtpapi.policy.lua.lines import Lines
from smtpapi.policy.lua.macros import current_recipient, expand, predefined, socket_text
from smtpapi.policy.lua.mail_parts import MailParts, raw, shown

_TOO_LARGE = b"the message is too large for a policy"
_NO_MESSAGE = b"there is no message here"
_END_OF_DATA = re.compile(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)\Z")
_CONNECTION = 2  # msys.core.VCTX_CONN
_ROUTE = re.compile(r"[^A-Za-z0-9._:-]")  # in names of bindings; Postfix's tables match the rest
_LONGEST_ROUTE = 100  # characters of a binding or routing domain: two fit into one line of a header; a guess


class Host(Library):
    """The functions of one state. `functions` is what the state is made with."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._call: HookCall | None = None
        self._parts: MailParts | None = None
        self._lines = Lines(shared)
        self._outside = Outside(shared.counts, shared.resolver, self._client)
        self._route = ["", ""]  # binding and routing domain that the hooks for one recipient chose

    def functions(self) -> dict[str, Callable[..., object]]:
        """Return all functions by the names that the prelude calls them by."""
        return (
            super().functions()
            | self._outside.functions()
            | {
                "get": self._get,
                "set": self._set,
                "delete": self._delete,
                "set_code": self._set_code,
                "code": self._code,
                "discard": self._discard,
                "header": self._header,
                "remove_header": self._remove_header,
                "add_header": self._add_header,
                "addresses": self._addresses,
                "sender": self._sender,
                "set_sender": self._set_sender,
                "recipient": self._recipient,
                "set_recipient": self._set_recipient,
                "recipients": self._recipients,
                "add_recipient": self._add_recipient,
                "remove_recipient": self._remove_recipient,
                "listener": self._listener,
                "peer": self._peer,
                "remote": self._remote,
                "id": self._id,
                "size": self._size,
                "body": self._body,
                "set_body": self._set_body,
                "replace_body": self._replace_body,
                "raw": self._raw,
                "parts": self._part_count,
                "texts": self._texts,
                "content_type": self._content_type,
                "match_in": self._match_in,
                "expand": self._expand,
                "cidr_query": self._cidr_query,
                "route": self._routed,
                "reports_binding": lambda: bool(self._shared.binding_header),
                "print": self._lines.print,
                "warn": self._lines.warn,
            }
        )

    def bind(self, call: HookCall | None) -> None:
        """Serve this call of a hook; None: no message."""
        if call is None or self._call is None or call.msg is not self._call.msg:
            self._parts = None
            self._route = ["", ""]
        self._call = call
        self._lines.message = call.msg if call is not None else None

    # -- context

    def _get(self, level: int, name: bytes | None) -> bytes | None:
        call = self._call
        if call is None or name is None:
            return None
        key = word(name)
        found = call.vctx.get(VCTX_CONN if level == _CONNECTION else VCTX_MESS, key)
        if found is None:
            found = predefined(call, key, connection=level == _CONNECTION)
        return octets(found) if found is not None else None

    def _set(self, level: int, name: bytes, value: bytes) -> bytes | None:
        if self._call is None:
            return _NO_MESSAGE
        try:
            scope = VCTX_CONN if level == _CONNECTION else VCTX_MESS
            self._call.vctx.set(scope, word(name), value.decode("utf-8", "replace"))
        except ValueError as error:
            return str(error).encode()
        return None

    def _delete(self, level: int, name: bytes | None) -> bool:
        if self._call is None or name is None:
            return False
        return self._call.vctx.delete(VCTX_CONN if level == _CONNECTION else VCTX_MESS, word(name))

    def _set_code(self, code: float, text: bytes) -> bytes | None:
        if self._call is None:
            return _NO_MESSAGE
        try:
            self._call.vctx.set_code(int(code), text.decode("utf-8", "replace"))
        except (ValueError, OverflowError) as error:
            return str(error).encode()
        return None

    def _code(self) -> tuple[int, bytes]:
        answer = self._call.vctx.refusal if self._call is not None else None
        if answer is None:
            return 0, b""
        return int(answer.code), " ".join(filter(None, (answer.status, answer.text))).encode()

    def _discard(self, reason: bytes) -> None:
        if self._call is not None:
            self._call.vctx.discard(reason.decode("utf-8", "replace"))

    # -- header and envelope

    def _header(self, part: int, name: bytes) -> object:
        if self._call is None:
            return ()
        field_name = word(name)
        if part:
            return self._pieces(map(octets, self._mail_parts().header(part, field_name)))
        values = self._call.msg.current.all(field_name.lower())
        return self._pieces(octets(shown(value.decode("utf-8", "replace"))) for value in values)

    def _remove_header(self, name: bytes) -> object:
        if self._call is None:
            return None, _NO_MESSAGE
        try:
            return self._call.msg.remove_header(word(name))
        except ValueError as error:
            return None, str(error).encode()

    def _add_header(self, name: bytes, value: bytes, mode: bytes) -> bytes | None:
        if mode not in (b"replace", b"append", b"prepend"):
            return b"msg:header: the mode is replace, append or prepend"
        if self._call is None:
            return _NO_MESSAGE
        try:
            text = value.decode("utf-8", "replace")
            self._call.msg.add_header(word(name), text, first=mode == b"prepend")
        except ValueError as error:
            return str(error).encode()
        return None

    def _addresses(self, part: int, name: bytes, component: bytes) -> object:
        if self._call is None:
            return ()
        field_name = word(name)
        if part:
            values = self._mail_parts().header(part, field_name)
        else:
            values = [
                shown(value.decode("utf-8", "replace"))
                for value in self._call.msg.current.all(field_name.lower())
            ]
        return self._pieces(texts.addresses(values, word(component)))

    def _sender(self) -> bytes:
        return octets(self._call.msg.sender) if self._call is not None else b""

    def _recipient(self) -> bytes:
        if self._call is None:
            return b""
        return octets(current_recipient(self._call))

    def _set_sender(self, address: bytes) -> bytes | None:
        return self._changed(lambda call: call.msg.set_mailfrom(word(address)))

    def _set_recipient(self, address: bytes) -> bytes | None:
        return self._changed(lambda call: call.msg.set_rcptto(word(address)))

    def _recipients(self) -> object:
        return self._pieces(map(octets, self._call.msg.recipients)) if self._call is not None else ()

    def _add_recipient(self, address: bytes) -> bytes | None:
        return self._changed(lambda call: call.msg.add_recipient(word(address)))

    def _remove_recipient(self, address: bytes) -> bytes | None:
        return self._changed(lambda call: call.msg.remove_recipient(word(address)))

    def _changed(self, change: Callable[[HookCall], object]) -> bytes | None:
        if self._call is None:
            return _NO_MESSAGE
        try:
            change(self._call)
        except ValueError as error:
            return str(error).encode()
        return None

    def _listener(self, flag: bytes) -> bytes:
        if self._call is None:
            return b""
        ac = self._call.ac
        port = "" if ac.local_port is None else str(ac.local_port)
        if not port and flag != b"ip":
            self._lines.warn_once("the MTA does not tell its port, {daemon_port}")
        return octets(socket_text(ac.local_addr, port, word(flag)))

    def _peer(self, flag: bytes) -> bytes:
        return (
            octets(socket_text(self._call.ac.remote_addr, "", word(flag))) if self._call is not None else b""
        )

    def _client(self) -> str:
        return self._call.ac.remote_addr if self._call is not None else ""

    def _remote(self) -> tuple[bytes, int]:
        address = self._call.ac.remote_addr if self._call is not None else ""
        return octets(socket_text(address, "0", "all")), 10 if ":" in address else 2

    def _id(self, what: bytes) -> bytes:
        if self._call is None:
            return b""
        queue_id = self._call.msg.queue_id
        return octets(queue_id if what == b"message" else f"{self._call.ac.remote_addr}/{queue_id}")

    def _routed(self, domain: bool, value: bytes | None) -> object:
        """Return the binding or routing domain of this copy; a value chooses it.

        A header field says so to the MTA: binding, and routing domain if there is one; "-" for no binding.
        Returns also a warning where nothing says so.
        """
        if value is not None and self._call is not None:
            if not self._call.msg.recipient:
                return b"", b"has no effect before the hooks for each recipient"
            chosen = _ROUTE.sub("_", word(value).lower() if domain else word(value))
            self._route[domain] = chosen[:_LONGEST_ROUTE]
            text = " ".join(filter(None, (self._route[False] or "-", self._route[True])))
            self._call.msg.route = self._shared.binding_header, "" if text == "-" else text
        return octets(self._route[domain])

    # -- body

    def _size(self) -> int:
        return self._call.msg.size if self._call is not None else 0

    def _body(self) -> object:
        if self._call is None:
            return b""
        body = self._call.msg.body
        return body if len(body) <= LARGEST else (None, _TOO_LARGE)

    def _set_body(self, text: bytes) -> bytes | None:
        """Put a text in the place of the body, without the mark of the end of data that Momentum wants."""
        if len(text) > LARGEST:
            return _TOO_LARGE
        self._parts = None
        return self._changed(lambda call: call.msg.set_body(_END_OF_DATA.sub(b"\r\n", text)))

    def _replace_body(self, pattern: bytes, replacement: bytes) -> object:
        """Replace all matches in the body; return as `_match_in` of the first, False where there is none."""
        found = self._match_in(b"body", 0, pattern)
        if self._call is None or isinstance(found, tuple) or found is False:
            return found
        try:
            text = patterns.replace(self._call.msg.body, pattern, replacement)
        except PatternError as error:
            return None, str(error).encode()
        if len(text) > LARGEST:
            return None, _TOO_LARGE
        self._parts = None
        problem = self._changed(lambda call: call.msg.set_body(text))
        return found if problem is None else (None, problem)

    def _raw(self) -> object:
        if self._call is None:
            return b""
        found = raw(self._call.msg.current) if self._call.msg.size <= LARGEST else b""
        return found or (None, _TOO_LARGE)

    def _part_count(self) -> int:
        return len(self._mail_parts().parts)

    def _texts(self, part: int) -> object:
        if self._call is None or self._call.msg.size > LARGEST:
            return (False, _TOO_LARGE)
        return self._pieces(text for text in self._mail_parts().texts(int(part)) if text)

    def _content_type(self, part: int) -> tuple[object, ...]:
        found = self._mail_parts().type(int(part))
        return tuple(octets(each) if isinstance(each, str) else each for each in found)

    def _match_in(self, where: bytes, part: int, pattern: bytes) -> object:
        if self._call is None or self._call.msg.size > LARGEST:
            return None, _TOO_LARGE
        number = int(part)
        if where == b"text":
            places: Iterable[bytes] = self._mail_parts().texts(number)
        elif number:
            places = (self._mail_parts().body(number),)
        else:
            msg = self._call.msg
            places = (msg.body if where == b"body" else raw(msg.current),)
        try:
            for place in places:
                if (found := patterns.match(place, pattern)) is not None:
                    self._found = found
                    return found[0]
        except PatternError as error:
            return None, str(error).encode()
        return False

    def _mail_parts(self) -> MailParts:
        assert self._call is not None
        if self._parts is None:
            self._parts = MailParts(self._call.msg.current)
        return self._parts

    def _expand(self, text: bytes) -> bytes:
        found, unknown = expand(self._call, word(text))
        for name in unknown:
            self._lines.warn_once(f"msys.expandMacro: %{{{name}}} is not known and stays")
        return octets(found)

    def _cidr_query(self, name: bytes, address: bytes) -> object:
        queried = peer_address(word(address)) or self._client()
        try:
            return self._shared.lists.query(word(name), queried)
        except ListError as error:
            return None, str(error).encode()
