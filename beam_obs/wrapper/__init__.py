"""The one DoFn wrapper: the hot path."""
