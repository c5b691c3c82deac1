"""Tracking domains that people enter: which there are, and whether they lead here (contract.md 8.6)."""
