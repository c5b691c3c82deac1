"""`smtpapi webhooks` at work: connections to targets, a thread for each webhook, and who sends for which."""
