"""Momentum's Lua policies, run by Lua 5.1 inside the filter (docs/policy-lua.md)."""
