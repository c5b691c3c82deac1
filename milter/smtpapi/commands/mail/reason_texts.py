"""Each reason in a few words, for a person who reads about one mail. What to do about it: docs/reasons.md."""

from collections.abc import Mapping
from types import MappingProxyType

from engagement.events.outcomes import UNTOUCHED
from smtpapi.model.outcome import Skip, Why

WHY: Mapping[Why, str] = MappingProxyType({why: UNTOUCHED[why.value] for why in Why})

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
