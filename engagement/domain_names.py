"""A domain as the DNS has it, and in letters, for comparing addresses. Pure, and no check of anything."""

import re
import unicodedata

_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what stands for a dot in a domain


def ascii_domain(domain: str) -> str:
    """Return a domain that is in lower case as the DNS has it (IDNA 2008), without the dot at its end.

    Nothing is checked: what is no domain gives another text that is none.
    """
    if not domain.isascii():
        labels = _DOTS.split(unicodedata.normalize("NFKC", domain).lower())
        domain = ".".join(
            label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
            for label in labels
        )
    return domain.removesuffix(".")


def spellings(address: str) -> tuple[str, ...]:
    """Return an address in lower case as it is, with its domain as the DNS has it, and in letters.

    They are one recipient, and mail may have been sent to any of them. The first is as given.
    """
    local, sign, domain = address.lower().rpartition("@")
    known = ascii_domain(domain)
    letters = ".".join(map(_letters, known.split(".")))
    return tuple(dict.fromkeys(local + sign + each for each in (domain, known, letters)))


def _letters(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        letters = label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, OverflowError):  # no Punycode
        return label
    return letters if ascii_domain(letters) == label else label  # `xn--a-` is not `a`
