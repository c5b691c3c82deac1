"""One message from what came in to what is changed. Pure."""
