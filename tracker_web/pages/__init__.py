"""The pages of `smtpapi web`."""
