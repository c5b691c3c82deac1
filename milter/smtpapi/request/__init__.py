"""What is asked for one message, by whom, and what is decided."""
