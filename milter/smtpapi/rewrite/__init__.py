"""From a decision to edits, and from edits to the new message."""
