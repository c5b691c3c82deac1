"""The configuration: its grammar, every option declared once, and what is in force where."""
