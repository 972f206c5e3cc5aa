"""`beam-obs config`: which settings hold here, and where each comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import click

from beam_obs.cli.shared_options import json_option
from beam_obs.records.duration import duration_text
from beam_obs.records.secrets import redact
from beam_obs.records.wording import clean
from beam_obs.reports.telling import tell
from beam_obs.store.configuration import FILE, find_configuration
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import STORE_VARIABLE, Store


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Print the settings that hold in this folder, and where each comes from.

    They stand in beam_obs.toml, or under [tool.beam_obs] of pyproject.toml, of this folder or one above it:
    store, shared (true where all workers see the store's folder), a table `filesystem` of options, a table
    `schedules` of pipelines, a table `exporters` of places that numbers of runs are sent to.
    """
    found = find_configuration()
    in_file = found.path or ""
    if os.environ.get(STORE_VARIABLE):
        origin = f"variable {STORE_VARIABLE}"
    else:
        origin = in_file if found.store else "default"
    told: list[tuple[str, Any, str]] = [
        ("store", Store().uri, origin),
        ("shared", found.shared, in_file if found.shared else "default"),
        *((f"filesystem.{name}", value, in_file) for name, value in redact(dict(found.filesystem)).items()),
        *((f"exporters.{name}", value, in_file) for name, value in redact(dict(found.exporters)).items()),
        *(told for schedule in found.schedules.values() for told in _of_schedule(schedule, in_file)),
    ]
    if as_json:
        for name, value, source in told:
            click.echo(json.dumps({"setting": name, "value": value, "from": source}))
        return
    if not in_file:
        tell(f"no {FILE} here or above")
    width = max(len(name) for name, _, _ in told)
    for name, value, source in told:
        shown = str(value).lower() if isinstance(value, bool) else clean(str(value))
        tell(f"{name:{width}}  {shown}  ({clean(source)})")


def _of_schedule(schedule: Schedule, file: str) -> Iterator[tuple[str, Any, str]]:
    """Yields the settings of a schedule, those too that nobody gave."""
    schedule.check()
    takes, since = schedule.takes_at_most_seconds, schedule.since
    told: dict[str, str | None] = {
        "cron": schedule.cron,
        "zone": schedule.zone,
        "start_within": duration_text(schedule.start_within_seconds),
        "takes_at_most": None if takes is None else duration_text(takes),
        "since": None if since is None else str(since),
    }
    yield from (
        (f"schedules.{schedule.pipeline}.{name}", value, file) for name, value in told.items() if value
    )
