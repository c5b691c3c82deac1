"""What an earlier schema left in an SQLite file: read, and moved by portions."""
