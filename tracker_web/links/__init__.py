"""The application that answers links and pixels: no framework, no store, no page."""
