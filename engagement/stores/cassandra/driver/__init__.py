"""The driver of Cassandra: a session as the settings ask for it, and its errors for people."""
