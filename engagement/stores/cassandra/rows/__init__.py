"""The statements, and rows as values: pure, no connections."""
