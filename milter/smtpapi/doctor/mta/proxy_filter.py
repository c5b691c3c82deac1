"""Where smtpd_proxy_filter keeps mail from the filter: milters of the smtpd before it are not shown any."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from smtpapi.setup.postfix_config import PostfixConfig, Service

_LOOPBACK: Final = re.compile(r"(?:\[?(?:127\.[\d.]+|::1)\]?|localhost):(\w+)$")


def behind_proxies(services: Sequence[Service], config: PostfixConfig) -> Iterator[Service]:
    """Yield the smtpds that hand each message to a proxy before it is queued."""
    return (each for each in services if config.value("smtpd_proxy_filter", each))


def has_milters(config: PostfixConfig, service: Service) -> bool:
    """Return whether an smtpd asks milters."""
    without = "no_milters" in config.value("receive_override_options", service)
    return bool(config.value("smtpd_milters", service)) and not without


def unseen(proxied: Service, config: PostfixConfig, hop_port: str = "") -> bool:
    """Return whether no smtpd on loopback that could stand behind this one's proxy asks milters.

    hop_port: of the second pass, which only the filter's own mail may use.
    """
    return not any(
        has_milters(config, each)
        for each in config.smtpds()
        if each is not proxied
        and not config.value("smtpd_proxy_filter", each)
        and (place := _LOOPBACK.match(each.name))
        and place[1] != hop_port
    )


def advice(config: PostfixConfig, hop_port: int | None = None) -> Iterator[str]:
    """Yield warnings about smtpds whose mail no milter sees. hop_port: of the second pass."""
    for each in behind_proxies(config.smtpds(), config):
        if unseen(each, config, str(hop_port)):
            alone = (
                "its milters are not shown mail" if has_milters(config, each) else "no milter is asked there"
            )
            yield (
                f"Postfix's smtpd {each.name} hands mail to smtpd_proxy_filter "
                f"{config.value('smtpd_proxy_filter', each)}: {alone}. "
                "Nothing that comes in there is tracked until the smtpd on loopback that the proxy gives "
                "mail back to has the filter in its smtpd_milters (docs/postfix.md)"
            )
