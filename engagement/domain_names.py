"""A domain as the DNS has it, for comparing addresses that people typed. Pure, and no check of anything."""

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
