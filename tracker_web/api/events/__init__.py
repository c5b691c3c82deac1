"""The search of events, as SparkPost's Events API answers it (contract.md 8.3)."""
