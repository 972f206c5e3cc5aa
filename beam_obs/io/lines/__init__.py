"""Lines of text and rows of CSV, in bulk."""
