"""Figures that any number of shippers with any clocks agree on."""
