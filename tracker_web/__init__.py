"""The web tracker: answers pixels and redirects, and shows what happened."""

from engagement import extensions

extensions.leave_out_if_off()  # before anything that uses them
