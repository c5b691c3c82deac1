"""The local journal between an answered request and the store."""
