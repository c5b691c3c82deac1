"""Each reason in a few words, for a person who reads about one mail. What to do about it: docs/reasons.md."""

from collections.abc import Mapping
from types import MappingProxyType

from smtpapi.model.outcome import Skip, Why

WHY: Mapping[Why, str] = MappingProxyType(
    {
        Why.MODULE_OFF: "the filter is off: no smtpapi { } stanza, or enabled = false",
        Why.UNTRUSTED: "the client is neither logged in nor in Relay_Hosts, or brings in others' mail",
        Why.BYPASSED: "policy set __bypass_smtpapi",
        Why.PRIVACY_OFF: "the privacy mode is off",
        Why.TRACKING_OFF: "clicks and opens are both off here",
        Why.SEVERAL_RECIPIENTS: "several recipients in one transaction would share links",
        Why.ADDED_RECIPIENT: "the mail server added this recipient by itself (added_recipients = none)",
        Why.SPLIT: "goes over the hop, which makes a copy for each recipient",
        Why.ALREADY_TRACKED: "this filter had it before",
        Why.SIGNED: "signed: any change would break the signature",
        Why.ENCRYPTED: "encrypted",
        Why.SMIME: "signed or encrypted as a whole (S/MIME)",
        Why.PGP_INLINE: "holds a PGP message",
        Why.DKIM_SIGNED: "carries a DKIM signature, which a change would break",
        Why.ARC_SEALED: "carries an ARC seal, which a change would break",
        Why.BODY_SIGNED: "carries another signature of its body, which a change would break",
        Why.NULL_SENDER: "a bounce or notice: the envelope sender is empty",
        Why.REPORT: "a delivery or disposition report",
        Why.AMBIGUOUS_MIME: "readers could see different parts in it",
        Why.TOO_LARGE: "larger than limits.max_message_size",
        Why.TOO_MANY_PARTS: "more parts than limits.max_parts",
        Why.TOO_MANY_LINKS: "more links than limits.max_links",
        Why.OVER_TIME: "would take longer than limits.time_budget",
        Why.OVER_MEMORY: "no room for it: the mail under way took all of limits.max_memory",
        Why.NO_PART: "no text, HTML or AMP part that can be edited",
        Why.NO_LINK: "nothing in it to track",
        Why.NO_KEY: "there is no key to make links with",
        Why.NOT_GRANTED: "the MTA does not grant the filter an action that this needs",
        Why.VERIFY_FAILED: "the second parser saw other links than the first",
        Why.POLICY_FAILED: "the policy file raised an error",
        Why.INTERNAL_ERROR: "a fault of ours",
    }
)

SKIP: Mapping[Skip, str] = MappingProxyType(
    {
        Skip.PART_CHARSET: "its charset is unknown, or does not come back the same",
        Skip.PART_ENCODING: "its transfer encoding is unknown or broken",
        Skip.AMP_NOT_HTTPS: "AMP needs https, the scheme here is http",
        Skip.PIXEL_TOO_LONG: "its pixel's address would be longer than 2000 bytes even without metadata",
        Skip.PIXEL_WITHOUT_PLACE: "HTML in which no pixel would show",
        Skip.NOT_HTTP: "no http or https link",
        Skip.OWN_HOST: "points to a tracking domain of ours already",
        Skip.NO_HOST: "no host in it",
        Skip.USER_INFO: "holds a user name or password",
        Skip.CONTROL_CHARACTER: "holds a control character",
        Skip.WHITE_SPACE: "holds white space",
        Skip.BACKSLASH: "holds a backslash",
        Skip.NON_ASCII: "holds letters beyond ASCII",
        Skip.TARGET_TOO_LONG: "longer than 4096 bytes",
        Skip.LINK_TOO_LONG: "the tracked link would be longer than 2000 bytes",
        Skip.CLICKTRACK_OFF: 'the author says data-msys-clicktrack="0"',
        Skip.PATTERN: "matches one of rewriting.skip_patterns",
        Skip.TEXT_IS_URL: "its visible text is itself a URL",
        Skip.QUOTED_REPLY: "stands in a quoted reply",
        Skip.UNCLEAR_END: "where it ends cannot be told",
        Skip.BROKEN_ESCAPE: "stands over malformed quoted-printable",
    }
)
