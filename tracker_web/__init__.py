"""The web tracker: answers pixels and redirects, and shows what happened."""
