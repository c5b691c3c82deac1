"""Events sent on to those who asked for them, in batches, at least once (contract.md 8.2)."""
