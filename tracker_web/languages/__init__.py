"""The languages of pages: catalogues of gettext, which of them a request gets, and texts in it."""
