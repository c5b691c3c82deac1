"""For senders who cannot write JSON: tags, metadata and a pathway from plain header fields.

X-Tags: newsletter, spring
X-Order: 4711
"""

import json

from smtpapi.policy import core


def validate_data_spool(msg, ac, vctx):
    """Context variables are strings; those of tags and metadata hold JSON text."""
    tags = [tag.strip() for value in msg.header("X-Tags") for tag in value.split(",") if tag.strip()]
    if tags:
        vctx.set(core.VCTX_MESS, "smtpapi_tags", json.dumps(tags))
    order = next(iter(msg.header("X-Order")), "")
    if order:
        vctx.set(core.VCTX_MESS, "smtpapi_metadata", json.dumps({"order": order}))
    if msg.mailfrom.endswith("@news.example.com"):
        vctx.set(core.VCTX_MESS, "pathway", "newsletters")
    return core.VALIDATE_CONT
