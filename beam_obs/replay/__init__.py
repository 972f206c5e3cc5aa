"""A program's pipeline cut at stages, which take dead letters of an earlier run in place of their input."""
