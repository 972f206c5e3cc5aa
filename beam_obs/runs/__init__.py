"""Runs: the observed pipeline, the store its runs are kept in, and the report of each."""
