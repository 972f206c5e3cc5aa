"""One file for each page: what it says, as plain values for the template of the same name."""
