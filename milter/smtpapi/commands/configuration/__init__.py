"""Commands that check the configuration and keep its keys."""
