"""The shipper, the only writer of the store: it moves events from the spool into it."""
