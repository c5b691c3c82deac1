"""Messages, envelopes and outcomes, as values without behaviour."""
