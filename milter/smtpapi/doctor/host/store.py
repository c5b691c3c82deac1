"""The store: reachable, and of the schema that this program needs."""

from collections.abc import Iterator, Sequence
from typing import Final

from engagement.extras import NotInstalledError
from engagement.settings import Settings
from engagement.stores import check_store
from engagement.stores.port import StoreError
from smtpapi.doctor.finding import Finding, Level

CHECK: Final = "store"


def read(settings: Settings) -> tuple[list[str], bool, str]:
    """Return what `smtpapi store check` prints, whether all is well, and why it cannot be asked."""
    try:
        lines, good = check_store(settings)
    except (StoreError, NotInstalledError, OSError) as error:
        return [], False, str(error)
    return lines, good, ""


def check(lines: Sequence[str], good: bool, trouble: str) -> Iterator[Finding]:
    """Yield what is wrong with the store."""
    if trouble:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the store cannot be used: {trouble}",
            "Events wait in the spool; pages and figures have nothing to show.",
            "smtpapi store check; after an update: smtpapi store migrate",
        )
    elif not good:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the store is not as it must be: {'; '.join(' '.join(line.split()) for line in lines)}",
            "Shippers of this program do not write to an older schema.",
            "smtpapi store migrate",
        )
    else:
        yield Finding(CHECK, Level.OK, "; ".join(" ".join(line.split()) for line in lines))
