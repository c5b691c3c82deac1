"""Checks of the MTA: milters and their order, the hop, whose mail is trusted, signers, a probe mail."""
