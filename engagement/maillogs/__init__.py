"""What becomes of messages, read from the logs of Postfix and Sendmail (docs/deliveries.md)."""
