"""Who fetched a link: rules as data, and how they classify a hit (docs/classify.md)."""
