"""The conversation with the MTA: one session of the milter protocol, and the changes it asks for."""
