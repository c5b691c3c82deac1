"""The pages that show the events, a program of its own: `smtpapi web`.

Never in the tracker's processes, and on a listener of its own, as the pages show recipients' addresses.
"""
