"""What a signer behind the filter signs: RFC 8058 wants List-Unsubscribe-Post in DKIM's h= (section 4)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "signer"
FIELD: Final = "list-unsubscribe-post"
OPENDKIM: Final = Path("/etc/opendkim.conf")
RSPAMD: Final = Path("/etc/rspamd/local.d/dkim_signing.conf")
_WHY: Final = "Gmail and Yahoo show their unsubscribe button only where a signature covers it (RFC 8058 4)."


def check_opendkim(text: str, place: str) -> Iterator[Finding]:
    """Yield what is wrong with an opendkim.conf. Its own list of fields lacks List-Unsubscribe-Post."""
    options = {
        name.lower(): value.strip()
        for name, value in re.findall(r"^[ \t]*([A-Za-z]+)[ \t]+([^#\n]*)", text, re.MULTILINE)
    }
    if "s" not in options.get("mode", "sv").lower():
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{place}: Mode {options['mode']}: OpenDKIM verifies and does not sign",
            "Mail goes out unsigned, if nothing else signs.",
            f"Mode sv in {place}",
        )
        return
    named = re.split(
        r"[,\s]+", f"{options.get('signheaders', '')},{options.get('oversignheaders', '')}".lower()
    )
    if FIELD in (name.strip("+*") for name in named):
        yield Finding(CHECK, Level.OK, f"{place}: List-Unsubscribe-Post is signed")
        return
    yield Finding(
        CHECK,
        Level.WARNING,
        f"{place}: List-Unsubscribe-Post is not signed",
        _WHY,
        f"SignHeaders *,+List-Unsubscribe-Post in {place}, then systemctl restart opendkim",
    )


def check_rspamd(text: str, place: str) -> Iterator[Finding]:
    """Yield what is wrong with rspamd's dkim_signing.conf. Its own list has the field."""
    found = re.search(r'^\s*sign_headers\s*=\s*"([^"]*)"', text, re.MULTILINE)
    if found is not None and FIELD not in found[1].lower():
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{place}: sign_headers lacks List-Unsubscribe-Post",
            _WHY,
            f'Add "(o)list-unsubscribe-post" to sign_headers in {place}, then systemctl reload rspamd',
        )
    else:
        yield Finding(CHECK, Level.OK, f"{place}: List-Unsubscribe-Post is signed")
