"""The pages of `smtpapi web`: everything the store knows, for people who would rather look than read."""
