"""`beam-obs exporter`: the numbers of all pipelines of a store, sent from one place."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import click

from beam_obs.cli.shared_options import store_option
from beam_obs.exporters.bridge import Bridge
from beam_obs.exporters.exporter_group import make_exporters
from beam_obs.exporters.stored_numbers import StoredNumbers
from beam_obs.exporters.targets import OFF, TARGETS, chosen_targets
from beam_obs.records.duration import parse_duration
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.records.number_text import counted
from beam_obs.records.wording import clean
from beam_obs.store.configuration import FILE, Configuration, find_configuration, usable_schedules
from beam_obs.store.store import Store

_EVERY = "15s"
_pause = time.sleep


def _checked(name: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        try:
            return value if value in (None, OFF) else TARGETS[name].check(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return check


def _target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, target in reversed(TARGETS.items()):
        option = f"--{name.replace('_', '-')}"
        add = click.option(
            option, name, metavar=target.metavar, callback=_checked(name), help=f"{target.help}."
        )
        command = add(command)
    return command


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    try:
        seconds = parse_duration(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None
    if not seconds:
        raise click.BadParameter(f"found {value!r}, expected at least 1s")
    return seconds


@click.command()
@store_option
@_target_options
@click.option(
    "--every",
    "seconds",
    default=_EVERY,
    show_default=True,
    metavar="DURATION",
    callback=_seconds,
    help="How often the store is looked at.",
)
@click.option("--once", is_flag=True, help="Look once, send what there is, and end.")
@click.option(
    "--job",
    "jobs",
    multiple=True,
    metavar="RUN",
    help="Also ask the job service of this run, whose launcher has left, how it goes, as `beam-obs watch` "
    "does; may be given several times.",
)
@click.option("--job-endpoint", metavar="HOST:PORT", help="Job service that is asked for them.")
def exporter(
    store: Store,
    seconds: int,
    once: bool,
    jobs: tuple[str, ...],
    job_endpoint: str | None,
    **options: str | None,
) -> None:
    """Send the numbers of all pipelines of a store, until interrupted.

    Of each pipeline those of its newest run, when it last succeeded, and when it is due. Where they are sent
    is said by options; without any, by [exporters] of beam_obs.toml.
    """
    # What the file says besides is where pipelines send their own.
    configuration = Configuration() if any(options.values()) else find_configuration()
    targets = chosen_targets(options, configuration, "--{}")
    if not targets:
        raise click.UsageError(
            f"say where numbers are to be sent, e.g. --prometheus-port 9464, or in [exporters] of {FILE}"
        )
    folder = targets.get("textfile")
    # A collector looks into a folder that is there: another one is misspelt.
    if folder is not None and not os.path.isdir(os.path.expanduser(folder)):
        raise click.UsageError(f"textfile: there is no folder {folder}; make it where it is meant")
    logging.basicConfig(format="beam-obs: %(message)s")
    logging.getLogger("beam_obs").setLevel(logging.INFO)
    numbers = StoredNumbers(store, usable_schedules())
    watching = [_watch(store, run, job_endpoint) for run in jobs]
    group = make_exporters(targets)
    for watch in watching:
        threading.Thread(target=watch, name="beam_obs watching", daemon=True).start()
    bridge = Bridge(numbers, group)
    try:
        bridge.look()
        click.echo(f"{store.shown_uri} to {', '.join(targets)}: {counted(len(numbers.all()), 'pipeline')}")
        while not once:
            _pause(seconds)
            bridge.look_again()
    except KeyboardInterrupt:
        click.echo("ended", err=True)
    finally:
        is_sent = group.close()
    if once and not is_sent:
        raise click.exceptions.Exit(1)


def _watch(store: Store, run: str, job_endpoint: str | None) -> Callable[[], None]:
    """Returns what keeps the counts of a run in the store, and writes its end.

    Raises:
      CannotBeWatched: nobody can be asked about its job.
    """
    from beam_obs.dataflow.job_of_run import job_of_run
    from beam_obs.runs.watched_job import WatchedJob

    record = store.find(run)
    job = WatchedJob(store, record, job_of_run(record, job_endpoint))

    def watch() -> None:
        try:
            for _ in job.looks():
                pass
        except BeamObsError as error:
            click.echo(f"beam-obs: {clean(str(error))}", err=True)

    return watch
