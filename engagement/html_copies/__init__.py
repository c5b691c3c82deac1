"""The HTML of a campaign's mail, a copy of each form, for the click map: how it is kept and how it ends."""
