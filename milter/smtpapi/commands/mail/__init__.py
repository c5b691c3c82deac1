"""Commands that rewrite, show or send one message."""
