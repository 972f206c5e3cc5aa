"""Writes that know what left, and what a service refused."""
