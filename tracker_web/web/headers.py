"""The header fields of every answer: what a browser may do with it."""

from typing import Final

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
# Of a page with a frame in it, which shows what is ours.
FRAMING: Final = {"Content-Security-Policy": f"{_POLICY}; frame-src 'self'"}
# Of what stands in the frame: somebody's mail. It loads nothing, runs nothing, sends nothing and leads
# nowhere, even where it is opened by itself. Its own styles alone count, as mail has no others.
FRAMED: Final = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
