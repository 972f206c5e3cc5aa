"""Assumptions on records, and the step that holds records against them."""
