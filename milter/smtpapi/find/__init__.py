"""Links and pixel places in a decoded part, as spans of its bytes."""
