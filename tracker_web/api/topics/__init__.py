"""The smaller topics of the API: tracking domains, recipients and their privacy, single messages."""
