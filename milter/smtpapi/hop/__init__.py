"""The hop: the split header that takes a message over it, what is restored behind it, and our own marks."""
