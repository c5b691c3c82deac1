"""The smaller topics of the API: tracking domains, recipients, single messages, webhooks."""
