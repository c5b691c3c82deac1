"""The store of a small site, in one SQLite file."""
