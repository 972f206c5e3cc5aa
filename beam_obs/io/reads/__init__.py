"""Reads of files: each record with its place in its source."""
