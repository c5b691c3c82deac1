"""What a policy may use without a message: texts, patterns, lists of networks, databases, counts, DNS."""
