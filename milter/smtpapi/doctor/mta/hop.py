"""Whether the hop for mail to several recipients is there on both ends: in Postfix and in smtpapi.conf."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from engagement.settings import Settings
from engagement.settings.schema import SeveralRecipients
from smtpapi.doctor.finding import Finding, Level
from smtpapi.doctor.mta.order import ours_in
from smtpapi.setup.postfix_config import PostfixConfig, Service

CHECK: Final = "hop"
_APPLY: Final = "smtpapi setup postfix --apply"
_MARK_DAYS: Final = 10  # a mark of the first pass is good so long (docs/decisions/0010)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NO_SPLIT: Final = (
    "Copies do not come back as one each: mail to several recipients waits or goes out unsplit."
)


def header_maps(
    config: PostfixConfig, name: str = "milter_header_checks", service: Service | None = None
) -> dict[str, str]:
    """Return the text of each regexp: or pcre: table of a parameter, "" for one that cannot be read."""
    found = {}
    for table in re.split(r"[\s,]+", config.value(name, service)):
        kind, _, path = table.partition(":")
        if kind in ("regexp", "pcre"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    found[table] = file.read()
            except OSError:
                found[table] = ""
    return found


def _leads_to_hop(text: str) -> bool:
    return re.search(r"^[^#\n]*FILTER\s+split:", text, re.MULTILINE) is not None


def check(config: PostfixConfig, settings: Settings, maps: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with the hop, or with doing without. maps: of `milter_header_checks`."""
    mode = settings.rewriting.several_recipients
    wired = any(map(_leads_to_hop, maps.values()))
    if mode is SeveralRecipients.SPLIT:
        bad = [*_check_listener(config, settings), *_check_way_out(config, settings, maps)]
        yield from bad
        if not any(each.level is Level.ERROR for each in bad):
            yield Finding(
                CHECK, Level.OK, f"the hop over {settings.rewriting.split_listener} is wired on both ends"
            )
        return
    if mode is SeveralRecipients.READDRESS:
        yield Finding(
            CHECK,
            Level.ERROR,
            "several_recipients = readdress is Sendmail's hop, and this is Postfix",
            "Postfix does not know the order that it gives: such mail goes out untracked, with a sealed "
            "field in it.",
            'several_recipients = split split_listener = "127.0.0.1:10026" in rewriting { }, then ' + _APPLY,
        )
    elif wired:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"Postfix has the hop, and smtpapi.conf says several_recipients = {mode.value}",
            "Mail to several recipients does not get a copy each.",
            f'several_recipients = split split_listener = "{_listener_in(maps)}" in rewriting {{ }}',
        )
    elif mode is SeveralRecipients.UNTRACKED:
        yield Finding(
            CHECK,
            Level.NOTE,
            "several_recipients = untracked: mail to several recipients gets no links",
            "None of it is measured.",
            'several_recipients = split split_listener = "127.0.0.1:10026" in rewriting { }, then ' + _APPLY,
        )
    elif mode is SeveralRecipients.DEFER:
        filters = [each.name for each in config.smtpds() if config.value("content_filter", each)]
        yield Finding(
            CHECK,
            Level.WARNING if filters else Level.NOTE,
            "several_recipients = defer: clients are told 452 after the first recipient",
            "Many clients wait minutes before they send the rest"
            + (f"; content filters behind {', '.join(filters)} do so for each mail." if filters else "."),
            'several_recipients = split split_listener = "127.0.0.1:10026" in rewriting { }, then ' + _APPLY,
        )


def _listener_in(maps: Mapping[str, str]) -> str:
    found = re.search(r"FILTER\s+split:\[([^\]]+)\]:(\d+)", "\n".join(maps.values()))
    return f"{found[1]}:{found[2]}" if found else "127.0.0.1:10026"


def _check_listener(config: PostfixConfig, settings: Settings) -> Iterator[Finding]:
    listener = settings.rewriting.split_listener
    port = listener.rpartition(":")[2]
    service = next((each for each in config.smtpds() if each.name.rpartition(":")[2] == port), None)
    if service is None:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"smtpapi.conf names {listener} for the second pass, and master.cf has no smtpd on that port",
            "Marked mail waits in the queue until it bounces.",
            _APPLY,
        )
        return
    host = service.name.rpartition(":")[0].strip("[]")
    if host != "localhost" and not host.startswith("127.") and host != "::1":
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the second pass listens on {service.name}, not on loopback alone",
            "It does none of the checks of incoming mail: an open relay for who reaches it.",
            f"127.0.0.1:{port} inet … smtpd in master.cf ({_APPLY})",
        )
    if ours_in(config, settings, config.value("smtpd_milters", service))[1] < 0:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the smtpd of the second pass ({service.name}) does not ask the filter",
            "Copies go out without links, and with the sealed mark in them.",
            f"smtpapi_hop_milters in main.cf ({_APPLY})",
        )
    if "no_address_mappings" not in config.value("receive_override_options", service):
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{service.name} maps addresses a second time",
            "always_bcc and bcc maps make their copies twice; what was accepted may be refused.",
            "-o receive_override_options=no_address_mappings,no_unknown_recipient_checks,"
            f"no_header_body_checks ({_APPLY})",
        )
    if "dsn" in config.value("smtpd_discard_ehlo_keywords", service).lower():
        yield Finding(
            CHECK,
            Level.WARNING,
            f"{service.name} does not offer DSN",
            "ORCPT says whom Postfix has added (always_bcc, aliases); without it they count as named.",
            "-o smtpd_discard_ehlo_keywords= in master.cf",
        )
    yield from _check_cleanup(config, service)


def _check_cleanup(config: PostfixConfig, service: Service) -> Iterator[Finding]:
    name = config.value("cleanup_service_name", service) or "cleanup"
    cleanup = config.service(f"{name}/unix")
    again = header_maps(config, service=cleanup)  # bindings of a Lua policy may stand there
    if cleanup is None or any(not text or _leads_to_hop(text) for text in again.values()):
        yield Finding(
            CHECK,
            Level.ERROR,
            f"the cleanup of the second pass ({name}) looks at milter_header_checks again, or is not there",
            "A header may lead a copy round once more, or the copy is not taken in.",
            "cleanup_hop unix … cleanup -o milter_header_checks= in master.cf, or tables of bindings alone "
            f"({_APPLY})",
        )
    first = config.service("cleanup/unix")
    if first is not None and config.value("message_size_limit", first) != "0":
        yield Finding(
            CHECK,
            Level.NOTE,
            "cleanup holds message_size_limit against mail that its mark has made longer",
            "Mail of just the permitted size is refused with 552.",
            'postconf -P "cleanup/unix/message_size_limit=0" && postfix reload',
        )


def _check_way_out(config: PostfixConfig, settings: Settings, maps: Mapping[str, str]) -> Iterator[Finding]:
    address, _, port = settings.rewriting.split_listener.rpartition(":")
    if unread := [table for table, text in maps.items() if not text]:
        yield Finding(
            CHECK,
            Level.ERROR,
            f"milter_header_checks names {unread[0]}, which is empty or cannot be read",
            "cleanup takes no mail with it.",
            _APPLY,
        )
    elif not any(f"split:[{address.strip('[]')}]:{port}" in text for text in maps.values()):
        yield Finding(
            CHECK,
            Level.ERROR,
            f"no table of milter_header_checks leads to split:[{address.strip('[]')}]:{port}",
            "Marked mail is delivered as it is: one body for all, untracked, with a sealed field in it.",
            f"milter_header_checks = regexp:{config.folder}/smtpapi_hop in main.cf ({_APPLY})",
        )
    split = config.service("split/unix")
    if split is None or split.command not in ("smtp", "lmtp"):
        yield Finding(CHECK, Level.ERROR, "master.cf has no transport `split`", _NO_SPLIT, _APPLY)
    elif config.written.get("split_destination_recipient_limit") != "1":
        yield Finding(
            CHECK,
            Level.ERROR,
            "split_destination_recipient_limit is not 1",
            _NO_SPLIT,
            f"split_destination_recipient_limit = 1 in main.cf ({_APPLY})",
        )
    elif config.value("smtp_line_length_limit", split) != "0":
        yield Finding(
            CHECK,
            Level.WARNING,
            "the transport `split` cuts lines over 998 octets",
            "A mail with a longer line is not known again after the hop, and goes untracked.",
            f"-o smtp_line_length_limit=0 at split in master.cf ({_APPLY})",
        )
    lifetime = _seconds(config.value("maximal_queue_lifetime"))
    if lifetime > _MARK_DAYS * 86_400:
        yield Finding(
            CHECK,
            Level.WARNING,
            f"maximal_queue_lifetime is {config.value('maximal_queue_lifetime')}, a mark is good for ten "
            "days",
            "Copies that waited longer go out without links.",
            "maximal_queue_lifetime = 5d in main.cf",
        )


def _seconds(time: str) -> int:
    found = re.fullmatch(r"(\d+)([smhdw]?)", time.strip())
    return int(found[1]) * _UNITS[found[2] or "d"] if found else 0
