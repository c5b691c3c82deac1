"""The site's rules for rewriting, from the stanzas rewriting { } and limits { }."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RewritingRules:
    """What the site lets a rewriting do.

    own_hosts: lower-case host[:port] values that count as ours. max_message_size: octets. time_budget:
    seconds for one message.
    """

    text_links: bool = True
    vml_links: bool = False
    skip_url_text: bool = False
    foreign_opt_outs: bool = True
    skip_patterns: tuple[re.Pattern[bytes], ...] = ()
    brace_macros: bool = True
    verify: bool = False
    own_hosts: frozenset[bytes] = frozenset()
    max_message_size: int = 25 * 1024 * 1024
    max_parts: int = 1000
    max_links: int = 2000
    time_budget: float = 2.0
