"""Mail that applications hand in: each recipient's mail is built and handed to the MTA."""
