"""`beam-obs dashboards`: a dashboard of a pipeline for the tools that draw them."""

from __future__ import annotations

import json

import click

from beam_obs.alerts import cloud_dashboard, grafana_dashboard
from beam_obs.alerts.cloud_naming import cloud_naming
from beam_obs.alerts.panels import rows_of
from beam_obs.alerts.promql import PROMETHEUS
from beam_obs.alerts.watched_pipeline import watched_pipeline
from beam_obs.cli.shared_options import store_option
from beam_obs.store.store import Store


@click.command()
@click.argument("pipeline")
@click.option(
    "--for",
    "target",
    type=click.Choice(["grafana", "cloud"]),
    required=True,
    help="grafana: over Prometheus. cloud: of Google Cloud Monitoring.",
)
@store_option
def dashboards(pipeline: str, target: str, store: Store) -> None:
    """Print a dashboard of a pipeline as JSON: health, flow, latency, dead letters, freshness.

    Limits are those that `beam-obs alerts` would tell of.
    """
    watched = watched_pipeline(store, pipeline)
    if target == "grafana":
        rows = rows_of(watched, PROMETHEUS, grafana_dashboard.RATE_WINDOW)
        made = grafana_dashboard.grafana_dashboard(pipeline, rows)
    else:
        rows = rows_of(watched, cloud_naming(watched.runner), cloud_dashboard.RATE_WINDOW)
        made = cloud_dashboard.cloud_dashboard(pipeline, rows)
    click.echo(json.dumps(made, indent=2))
