"""The store of a large site, in a Cassandra cluster."""
