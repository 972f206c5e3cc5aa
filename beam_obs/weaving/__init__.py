"""Rewriting a finished pipeline's portable form, so that each record carries its origin."""
