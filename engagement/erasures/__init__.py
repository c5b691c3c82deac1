"""Recipients who are to be erased: asked for by program, carried out by the shipper (docs/privacy.md)."""
