"""What a request's header fields say about who sent it, as one number: a bit for each, never their text.

Not a judgement: rules read these bits later, again and again (`engagement.classify`). The numbers stand in
records on disk and in stores: a bit never changes its meaning, a new one is added at the end.
"""

from enum import IntFlag


class Signals(IntFlag):
    """The bits of `Hit.signals`. Without RECORDED the hit is of a program that did not look."""

    RECORDED = 1
    # Sec-Purpose, Purpose, X-Purpose or X-Moz says prefetch, prerender or preview.
    PREFETCH = 1 << 1
    # Sec-Fetch-Mode (W3C Fetch Metadata 2.2): neither bit is set where the field was not sent.
    MODE_NAVIGATE = 1 << 2
    MODE_OTHER = 1 << 3
    # Sec-Fetch-Dest (W3C Fetch Metadata 2.1).
    DEST_DOCUMENT = 1 << 4
    DEST_IMAGE = 1 << 5
    DEST_OTHER = 1 << 6
    # Sec-Fetch-User: ?1, a person's gesture (W3C Fetch Metadata 2.4).
    USER = 1 << 7
    # Accept: names HTML, names an image type; ANY: `*/*` and nothing else. None of them: not sent, or other.
    ACCEPT_HTML = 1 << 8
    ACCEPT_IMAGE = 1 << 9
    ACCEPT_ANY = 1 << 10
    # Via or Forwarded was there when the request reached this site (RFC 9110 7.6.3, RFC 7239).
    FORWARDED = 1 << 11
    # The protocol that the tracker, or the proxy it trusts, was spoken to: neither bit means HTTP/1.1.
    HTTP_1_0 = 1 << 12
    HTTP_2 = 1 << 13  # or later
    COOKIE = 1 << 14
    RANGE = 1 << 15
    CONDITIONAL = 1 << 16  # If-None-Match, If-Modified-Since or If-Range
    REFERER = 1 << 17
    LANGUAGE = 1 << 18  # Accept-Language was sent; its text may go with privacy, this bit stays


ALL_SIGNALS = Signals((1 << 19) - 1)
