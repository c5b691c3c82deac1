"""Who gets no more mail of a kind: the suppression list (contract.md 8.5, docs/suppression.md)."""
