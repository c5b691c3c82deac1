"""Who fetched a link: rules as data, and how they judge a hit (docs/classify.md)."""
