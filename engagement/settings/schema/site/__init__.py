"""Stanzas that only this program has: each option holds for the whole site.

What differs by listener or client is an option of scopes (`scoped`); Momentum's stanzas: `momentum`.
"""
