"""The hop: the split header that goes with a message, what it restores afterwards, and our own marks."""
