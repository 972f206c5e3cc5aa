"""`beam-obs alerts`: rules of a pipeline for the tools that watch it."""

from __future__ import annotations

import json

import click

from beam_obs.alerts.cloud_naming import cloud_naming
from beam_obs.alerts.cloud_policies import cloud_policies
from beam_obs.alerts.prometheus_rules import prometheus_rules
from beam_obs.alerts.rules import DEFAULT_WINDOW, rules_of
from beam_obs.alerts.watched_pipeline import watched_pipeline
from beam_obs.cli.shared_options import in_seconds, store_option
from beam_obs.records.duration import duration_text
from beam_obs.store.store import Store


@click.command()
@click.argument("pipeline")
@click.option(
    "--for",
    "target",
    type=click.Choice(["prometheus", "cloud"]),
    required=True,
    help="prometheus: a file of rules. cloud: policies of Google Cloud Monitoring, one on a line.",
)
@click.option(
    "--window",
    callback=in_seconds,
    default=duration_text(DEFAULT_WINDOW),
    show_default=True,
    metavar="TIME",
    help="Over which is looked at what grows or flows, e.g. 10m, 1h.",
)
@store_option
def alerts(pipeline: str, target: str, window: int, store: Store) -> None:
    """Print rules that tell of a pipeline's failures, made from its graph and its newest 30 runs.

    Failed, late, not started though due, too long, too many dead letters, records lost, backed up, stopped,
    out of memory. Each says what to type then. What the history is too short for is left out, and named.
    """
    if window < 1:
        raise click.BadParameter("give a second or more", param_hint="--window")
    watched = watched_pipeline(store, pipeline)
    if target == "prometheus":
        click.echo(prometheus_rules(rules_of(watched, window=window)), nl=False)
        return
    rules = rules_of(watched, cloud_naming(watched.runner), window)
    for policy in cloud_policies(rules):
        click.echo(json.dumps(policy))
    for name, reason in rules.left_out:
        click.echo(f"beam-obs: left out: {name}: {reason}", err=True)
