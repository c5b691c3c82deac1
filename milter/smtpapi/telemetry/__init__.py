"""What the filter says of its work: log lines and counters."""
