"""What happened: the kinds of event, their ids and their fields as users know them."""
