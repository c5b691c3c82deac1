"""The HTTP API of `smtpapi web`, as SparkPost's clients speak it (contract.md 8)."""
