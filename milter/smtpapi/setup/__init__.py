"""What `smtpapi setup` changes in an MTA's and a web server's files: planned, shown, applied, undone."""
