"""Where a URL in text ends."""
