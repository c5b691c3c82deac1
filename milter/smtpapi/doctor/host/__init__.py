"""Checks of this host: clock, keys, processes, spool, store, follower, versions."""
