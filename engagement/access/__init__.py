"""Who may use the HTTP API: keys, what each may do, and whose data it may see. Not the pages' users."""
