"""What a tracked link holds, how it is sealed and opened, and with which keys."""
