"""Spans of runs, bundles and sampled records, and where they go. OpenTelemetry is imported where used."""
