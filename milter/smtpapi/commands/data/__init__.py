"""Commands that read, remove and decode what was recorded."""
