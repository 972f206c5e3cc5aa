"""What watches pipelines: rules and dashboards made from them, gates for schedulers, probes."""
