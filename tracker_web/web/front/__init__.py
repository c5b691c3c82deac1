"""What stands between the server and the application of `smtpapi web`: no thread waits for a client."""
