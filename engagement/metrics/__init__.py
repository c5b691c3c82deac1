"""Metrics for Prometheus: what programs count, named and described, and the listener that shows it.

Which metrics a program has is declared beside what it counts (`smtpapi.telemetry.metrics`,
`engagement.shipper.metrics`, …); docs/metrics.md lists all.
"""
