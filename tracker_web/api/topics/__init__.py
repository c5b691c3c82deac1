"""The smaller topics of the API: suppression, tracking domains, recipients, messages, webhooks."""
