"""Mail for several recipients: the header that takes it over the hop, and what is restored behind it."""
