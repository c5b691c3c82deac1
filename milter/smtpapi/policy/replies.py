"""The SMTP reply that a policy asks for, from its code and text (RFC 5321 4.2)."""

import re

from smtpapi.model.outcome import Refuse

_LONGEST = 400  # octets of a reply's text; a reply line has 512 (RFC 5321 4.5.3.1.5)
_STATUS = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})[ \t]+")
_BLANKS = re.compile(r"[\r\n\t\0 ]+")
_CODE = re.compile(r"([0-9]{3})[ -]?")


def reply(code: int, text: str) -> Refuse | None:
    """Return the refusal for a code and text; None for a code that accepts.

    An enhanced code at the start of the text is taken as such if it is of the reply's class. The text becomes
    one line of ASCII. Raises ValueError for what is no code of SMTP.
    """
    if not 200 <= code <= 599:
        raise ValueError(f"{code} is no reply code of SMTP: 4xx puts the mail off, 5xx refuses it")
    if code < 400:
        return None
    text = _BLANKS.sub(" ", text).strip()
    status = ""
    found = _STATUS.match(text)
    if found is not None and found[1][0] == str(code)[0]:
        status, text = found[1], text[found.end() :]
    ascii_text = text.encode("ascii", "replace").decode("ascii")[:_LONGEST]
    return Refuse(str(code), status, ascii_text or ("Try again later" if code < 500 else "Not accepted"))


def code_in(text: str) -> tuple[int, str]:
    """Return the code that a reply's text begins with, and the rest; 0 where there is none."""
    found = _CODE.match(text)
    return (int(found[1]), text[found.end() :]) if found else (0, text)
