"""The DoFns of woven steps: the user's work on plain values, provenance beside it."""
