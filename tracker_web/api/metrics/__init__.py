"""Figures, as SparkPost's Metrics API answers them (contract.md 8.4)."""
