"""The filter: mail in, the same mail with each recipient's own links and pixels out."""
