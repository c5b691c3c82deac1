"""Whether tracking domains that people enter lead here (contract.md 8.6)."""
