"""The read side as a program of its own, `smtpapi web`: what people look at.

Never in the tracker's processes, and reached by another listener: what is here shows recipients' addresses.
"""
