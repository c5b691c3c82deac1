"""Read what a sender asks for in another vendor's header fields, and write it as X-MSYS-API.

So it has that header's rank, its checks, and its way over the hop. What the fields mean is data
(`vendor_rules`); who may ask is decided in `trust`, and the fields are removed by `smtpapi.pipeline`.

Invariants: `translated` never raises, whatever the bytes; what it writes is an X-MSYS-API that is accepted; a
fault in a vendor's field costs what that field says, never the mail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from smtpapi.mime import encoded_words
from smtpapi.model.message import Field, Message
from smtpapi.model.outcome import HeaderChange, Refuse, removal
from smtpapi.request import strict_json, x_msys_api
from smtpapi.request.labels import campaign_fault, choose_tags
from smtpapi.request.strict_json import NotJSON, Number, Value
from smtpapi.request.vendor_rules import FieldName, Form, Rule, Sets, Vendor

_MOST_UNKNOWN = 20  # names of keys and fields in one line of the log; a guess
_SWITCHES = {
    Sets.CLICKS: "click_tracking",
    Sets.OPENS: "open_tracking",
    Sets.TRANSACTIONAL: "transactional",
}


class Translation(NamedTuple):
    """What the fields ask for.

    text: the value of an X-MSYS-API, ASCII without blanks; "" where they ask for nothing. notes: warnings for
    the log. unread: names of keys and fields that no rule reads.
    """

    text: str
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def names(vendors: Sequence[Vendor], message: Message) -> tuple[str, ...]:
    """Return the names of the message's fields that are these vendors' own, each once, in lower case."""
    if not vendors:
        return ()
    own = [each for vendor in vendors for each in vendor.fields]
    found = dict.fromkeys(each.name.lower() for each in message.fields)
    return tuple(name for name in found if any(each.holds(name) for each in own))


def removals(vendors: Sequence[Vendor], message: Message) -> tuple[HeaderChange, ...]:
    """Return the changes that take these vendors' fields out of a message."""
    return tuple(change for name in names(vendors, message) for change in removal(message, name))


def translated(vendors: Sequence[Vendor], message: Message) -> Translation:
    """Return what the fields of a message ask for, the vendors in their order: the first to say it counts."""
    reading = _Reading()
    for vendor in vendors:
        fields = [each for each in message.fields if _is_among(vendor.fields, each.name)]
        if fields:
            reading.vendor(vendor, fields)
    text = reading.text()
    if text and isinstance(refused := x_msys_api.parse([text.encode()]), Refuse):
        reading.notes.append(f"other vendors' fields ignored: {refused.text}")
        text = ""
    return Translation(
        text, tuple(dict.fromkeys(reading.notes)), tuple(dict.fromkeys(reading.unread))[:_MOST_UNKNOWN]
    )


def _is_among(own: Sequence[FieldName], name: str) -> bool:
    lower = name.lower()
    return any(each.holds(lower) for each in own)


@dataclass(slots=True)
class _Reading:
    """Collects what the fields say."""

    campaign: str = ""
    tags: list[Value] = field(default_factory=list)
    metadata: dict[str, Value] = field(default_factory=dict)
    switches: dict[str, Value] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def vendor(self, vendor: Vendor, fields: Sequence[Field]) -> None:
        for rule in vendor.rules:
            for each in fields:
                if rule.field.holds(each.name.lower()):
                    self._apply(rule, each)
        for each in fields:
            rules = [rule for rule in vendor.rules if rule.field.holds(each.name.lower())]
            if not rules:
                self.unread.append(each.name)
            elif all(rule.path for rule in rules):
                self.unread += _unread_keys(_json(each.value), [rule.path for rule in rules])

    def _apply(self, rule: Rule, each: Field) -> None:
        try:
            value = _value_of(rule, each)
        except ValueError as error:
            self.notes.append(f"{each.name} ignored: {error}")
            return
        if value is None:
            return
        for sets in rule.sets:
            if not self._take(sets, rule, value):
                at = ".".join((each.name, *rule.path))
                self.notes.append(f"{at} ignored: it says no {sets}")

    def _take(self, sets: Sets, rule: Rule, value: Value) -> bool:
        """Take a value, and return whether it can be taken."""
        if sets is Sets.METADATA:
            if not isinstance(value, dict):
                return False
            self.metadata = {**value, **self.metadata}
        elif sets is Sets.TAGS:
            self.tags += value if isinstance(value, list) else [value]
        elif sets is Sets.CAMPAIGN:
            if not isinstance(value, str) or isinstance(value, Number) or campaign_fault(value):
                return False
            self.campaign = self.campaign or value
        else:
            switch = _switch(rule, value)
            if switch is None:
                return False
            self.switches.setdefault(_SWITCHES[sets], switch)
        return True

    def text(self) -> str:
        """Return the value of an X-MSYS-API that says the same; "" for nothing."""
        tags, warnings = choose_tags(self.tags)
        self.notes += warnings
        found: dict[str, Value] = {
            "campaign_id": self.campaign,
            "tags": list(tags),
            "metadata": self.metadata,
            "options": self.switches,
        }
        present: dict[str, Value] = {name: value for name, value in found.items() if value}
        return _in_ascii(strict_json.compact(present)) if present else ""


def _value_of(rule: Rule, each: Field) -> Value:
    """Return the value that a rule takes from a field, None where there is none. Raises ValueError."""
    if rule.form is Form.JSON:
        read = _json(each.value)
        if isinstance(read, NotJSON):
            raise read
        value: Value = read
        for at, name in enumerate(rule.path):
            if value is not None and not isinstance(value, dict):
                raise ValueError(f"{'.'.join(rule.path[:at]) or 'it'} is no JSON object")
            value = value.get(name) if value is not None else None
        return value
    text = encoded_words.decode(_text(each.value)).strip()
    if rule.form is Form.PAIRS:
        pairs = [word.partition("=") for word in text.split(",")]
        return {name.strip(): text.strip() for name, _, text in pairs if name.strip()}
    if rule.form is Form.LIST:
        return [word.strip() for word in text.split(",") if word.strip()]
    if not text:
        return None
    name = rule.name or (each.name[len(rule.field.text) :] if rule.field.begins else "")
    return {name: text} if name else text


def _text(value: bytes) -> str:
    try:
        return x_msys_api.unfold(value).decode()
    except UnicodeDecodeError:
        raise ValueError("bytes that are not UTF-8") from None


def _json(value: bytes) -> "Value | NotJSON":
    """Return a field's JSON value, or why it is none. An empty field has the value null."""
    try:
        text = _text(value)
        if not text:
            return None
        try:
            return strict_json.read(text)[0]
        except NotJSON:
            if not encoded_words.present(text):
                raise
            return strict_json.read(encoded_words.decode(text))[0]
    except NotJSON as error:
        return error
    except ValueError as error:
        return NotJSON(str(error))


def _switch(rule: Rule, value: Value) -> bool | None:
    """Return the switch that a value spells, None where it spells none; a list is on if it names one."""
    if isinstance(value, list):
        return any(isinstance(each, str) and each.lower() in rule.on for each in value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        spelled = value.lower()
        return True if spelled in rule.on else False if spelled in rule.off else None
    return None


def _unread_keys(
    value: "Value | NotJSON", paths: Sequence[tuple[str, ...]], above: str = ""
) -> Iterator[str]:
    """Yield the names, with dots, of what no path leads to."""
    if not isinstance(value, dict) or () in paths:
        return
    for name, member in value.items():
        further = [path[1:] for path in paths if path[0] == name]
        if further:
            yield from _unread_keys(member, further, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _in_ascii(text: str) -> str:
    r"""Return JSON text with \u escapes for blanks, which folding might change, and for what is not ASCII."""
    return "".join(sign if "!" <= sign <= "~" else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
