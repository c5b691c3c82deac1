"""The program `smtpapi web`: the pages and the HTTP API on a listener of their own.

Never in the tracker's processes: what it shows has recipients' addresses in it, and may take its time.
"""
