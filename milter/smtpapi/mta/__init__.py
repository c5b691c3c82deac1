"""The conversation with the MTA: a session of the milter protocol, and the changes that it requests."""
