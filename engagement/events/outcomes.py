"""What the filter did with a message, in a few words for a person who reads about one mail.

By the value of `x_outcome` of an injection. What to do about a reason: docs/reasons.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNTOUCHED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "module-off": "the filter is off: no smtpapi { } stanza, or enabled = false",
        "untrusted": "the client is neither logged in nor in Relay_Hosts, or brings in others' mail",
        "bypassed": "policy set __bypass_smtpapi",
        "privacy-off": "the privacy mode is off",
        "tracking-off": "clicks and opens are both off here",
        "several-recipients": "several recipients in one transaction would share links",
        "added-recipient": "the mail server added this recipient by itself (added_recipients = none)",
        "split": "goes over the hop, which makes a copy for each recipient",
        "already-tracked": "this filter had it before",
        "signed": "signed: any change would break the signature",
        "encrypted": "encrypted",
        "smime": "signed or encrypted as a whole (S/MIME)",
        "pgp-inline": "holds a PGP message",
        "dkim-signed": "carries a DKIM signature, which a change would break",
        "arc-sealed": "carries an ARC seal, which a change would break",
        "body-signed": "carries another signature of its body, which a change would break",
        "null-sender": "a bounce or notice: the envelope sender is empty",
        "report": "a delivery or disposition report",
        "ambiguous-mime": "readers could see different parts in it",
        "too-large": "larger than limits.max_message_size",
        "too-many-parts": "more parts than limits.max_parts",
        "too-many-links": "more links than limits.max_links",
        "over-time": "would take longer than limits.time_budget",
        "over-memory": "no room for it: the mail under way took all of limits.max_memory",
        "no-part": "no text, HTML or AMP part that can be edited",
        "no-link": "nothing in it to track",
        "no-key": "there is no key to make links with",
        "not-granted": "the MTA does not grant the filter an action that this needs",
        "suppressed": "the recipient is on the suppression list and gets none of it",
        "verify-failed": "the second parser saw other links than the first",
        "policy-failed": "the policy file raised an error",
        "internal-error": "a fault of ours",
    }
)
