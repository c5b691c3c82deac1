"""Where the parts of a message lie and how their bytes are encoded."""
