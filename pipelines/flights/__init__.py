"""Flights that left New York City in 2013: read, checked, enriched and summed up per carrier and day."""
