"""Where a URL in plain text ends."""
