"""The filter's log lines and counters."""
