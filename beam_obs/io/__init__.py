"""Reads that know each record's place in its source, and writes that know what left."""
