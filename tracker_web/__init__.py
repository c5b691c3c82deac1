"""The web tracker, which answers pixels and redirects, and the pages that show the events."""

from engagement import extensions

extensions.leave_out_if_off()  # before anything that uses them
