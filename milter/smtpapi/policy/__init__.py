"""The operator's own policy files, with Momentum's hooks."""
