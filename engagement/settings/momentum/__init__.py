"""Momentum's own configuration: scopes and their names, what is not served here, and what that costs."""
