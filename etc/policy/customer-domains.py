"""Each customer, known by the SMTP login, has a tracking domain, a life of links and a name in events."""

from smtpapi.policy import core

# Login -> (customer id, tracking domain, days that a link is followed up)
CUSTOMERS = {
    "shop": ("17", "click.shop.example", 365),
    "bank": ("31", "mail.bank.example", 30),
}
UNKNOWN = "0"


def validate_connect(ac, vctx):
    """Once a session. The connection level holds for all its messages."""
    customer, domain, days = CUSTOMERS.get(ac.login, (UNKNOWN, "", 0))
    vctx.set(core.VCTX_CONN, "mo_customer_id", customer)
    if customer != UNKNOWN:
        vctx.set(core.VCTX_CONN, "smtpapi_tracking_domain", domain)
        vctx.set(core.VCTX_CONN, "smtpapi_tracking_link_expiry", str(days * 86400))
        vctx.set(core.VCTX_CONN, "cust_login", ac.login)
    return core.VALIDATE_CONT


def validate_mailfrom(sender, ac, vctx):
    """Tests of a customer's own people are not tracked."""
    if sender.startswith("test@"):
        vctx.set(core.VCTX_MESS, "__bypass_smtpapi", "true")
    return core.VALIDATE_CONT
