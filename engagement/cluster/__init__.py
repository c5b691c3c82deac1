"""Several hosts as one: what one changes in its files reaches the others through the registry, sealed."""
