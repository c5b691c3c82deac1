"""What is counted: each figure defined once, and the counters that figures are sums of."""
