"""What pages are made of: figures, charts, tables and lines, from values alone. Pure."""
