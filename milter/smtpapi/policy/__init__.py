"""The operator's own policy file, with Momentum's hooks; it may set context variables (contract.md 4)."""

from smtpapi.policy import core
from smtpapi.policy.files import load
from smtpapi.policy.hooks import AnyPolicy, Policy, PolicyError, PolicyFailed

__all__ = ["AnyPolicy", "Policy", "PolicyError", "PolicyFailed", "core", "load"]
