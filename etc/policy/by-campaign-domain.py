"""Links of a campaign get a tracking domain of their own; what has no campaign yet gets one from its sender.

Use: policy { file = "/etc/smtpapi/policy.py" }
"""

from smtpapi.policy import core

# Campaign as the sender names it in a header field of its own -> host of its links.
DOMAINS = {
    "spring": "spring.links.example.com",
    "billing": "pay.links.example.com",
}


def validate_data_spool(msg, ac, vctx):
    """The message is whole: its header can be asked."""
    campaign = next(iter(msg.header("X-Campaign")), "") or msg.sender.partition("@")[0]
    # A longer name would refuse the mail: cut it to 64 bytes, between letters.
    vctx.set(core.VCTX_MESS, "smtpapi_campaign_id", campaign.encode()[:64].decode("utf-8", "ignore"))
    if campaign in DOMAINS:
        vctx.set(core.VCTX_MESS, "smtpapi_tracking_domain", DOMAINS[campaign])
        vctx.set(core.VCTX_MESS, "smtpapi_click_tracking_scheme", "https")
        vctx.set(core.VCTX_MESS, "smtpapi_open_tracking_scheme", "https")
    return core.VALIDATE_CONT
