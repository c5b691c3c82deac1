"""The one writer of the store: carries the spool into it."""
