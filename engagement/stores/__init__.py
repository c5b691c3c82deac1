"""Where events are kept and asked for: one port, several engines."""
