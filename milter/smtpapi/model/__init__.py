"""Messages, envelopes and outcomes as plain values."""
