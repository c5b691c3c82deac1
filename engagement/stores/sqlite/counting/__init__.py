"""The figures of an SQLite file: made by differences, asked for, and counted again."""
