"""What rules and dashboards of a pipeline are made from: its newest graph, and how its runs went so far."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.store.configuration import find_configuration
from beam_obs.store.freshness import Freshness, freshness
from beam_obs.store.run_record import RunRecord
from beam_obs.store.run_summary import summary_of
from beam_obs.store.schedule import Schedule
from beam_obs.store.store import Store
from beam_obs.store.timeliness import DurationLimit, duration_limit

NEWEST = "@latest"
"""Behind the name of a pipeline: its newest run."""
LOOKED_AT = 30
"""Runs that tell what is usual."""
LEAST_RUNS = 5
"""Of fewer nothing is usual yet."""

_DEFAULT_SHARE, _DEFAULT_MINIMUM = 0.5, 100
"""Those of `--obs_max_dead_rate` and `--obs_max_dead_minimum`, where a run does not tell its own."""
_LEAST_SHARE = 0.01
_TIMES_USUAL = 2.0
_LATE_TIMES = 1.5


@dataclasses.dataclass(frozen=True)
class DeadLimit:
    """What share of its records a stage may refuse before somebody is told.

    Args:
      share: from 0 to 1.
      minimum: fewest records it must have taken to be judged.
      reason: where the share is from, in words.
    """

    share: float
    minimum: int
    reason: str


@dataclasses.dataclass(frozen=True)
class WatchedPipeline:
    """A pipeline as far as its rules and dashboards need it.

    Args:
      name: of the pipeline.
      store: where its runs are, absolute.
      runner: of its newest run.
      is_streaming: whether its newest run was launched as a stream.
      dead_limits: of its stages, by label, in the order of the graph.
      window_seconds: how long the longest windows are that its steps group by; None where no run told.
      successes: how many of its newest runs are done.
      freshness: how long it is between two successes; None where there is none.
      duration: how long a run may take; None where that cannot be told.
      schedule: when its runs are to start; None without one.
    """

    name: str
    store: str
    runner: str
    is_streaming: bool
    dead_limits: Mapping[str, DeadLimit]
    window_seconds: float | None
    successes: int
    freshness: Freshness | None
    duration: DurationLimit | None
    schedule: Schedule | None

    @property
    def late_seconds(self) -> float | None:
        """After how many seconds a success is too long ago, whole minutes; None where nothing is usual."""
        late = None if self.freshness is None else self.freshness.seconds_beyond(_LATE_TIMES)
        return None if late is None else 60.0 * -(-late // 60)

    @property
    def latest(self) -> str:
        """Its newest run, as commands take it."""
        return f"{self.name}@latest"

    def command(self, *words: str) -> str:
        """Returns a command about its store, as it is typed."""
        return shlex.join(["beam-obs", *words, "--store", self.store])


def watched_pipeline(store: Store, name: str) -> WatchedPipeline:
    """Returns a pipeline by its newest runs.

    Args:
      store: the store.
      name: of the pipeline.

    A schedule makes up for runs that there are not yet.

    Raises:
      RunNotFound: the store has no runs of it, and nobody has a schedule.
      UsageError: its schedule is wrong, or `name` is that of a run.
      MissingExtra: it has a schedule, and the ``watching`` extra is not installed.
    """
    schedule = find_configuration().schedules.get(name)
    if schedule is None and name.endswith(NEWEST):
        pipeline = name.removesuffix(NEWEST)
        raise UsageError(f"{name} is a run: give the pipeline alone, {pipeline}")
    if schedule is not None:
        schedule.check()
    else:
        store.check_pipeline(name)
    records = [record for record in store.runs(name, LOOKED_AT) if record.status != "template"]
    if not records and schedule is None:
        raise BeamObsError(f"pipeline {name!r} has only templates so far: rules are made from its runs")
    runs = [summary_of(record) for record in records]
    started = [run.started for run in runs if run.is_success]
    return WatchedPipeline(
        name,
        store.uri,
        records[0].start["runner"] if records else "",
        bool(runs) and runs[0].is_streaming,
        _dead_limits(records),
        _window_seconds(records),
        len(started),
        freshness(started, started[0]) if started else None,
        duration_limit(runs, schedule),
        schedule,
    )


def _window_seconds(records: Sequence[RunRecord]) -> float | None:
    """Returns how long the longest windows are, by the newest run that tells."""
    for record in records:
        told = [one.get("window_seconds") for one in record.last_known.get("waiting") or ()]
        if lengths := [seconds for seconds in told if seconds is not None]:
            return float(max(lengths))
    return None


def _dead_limits(records: Sequence[RunRecord]) -> dict[str, DeadLimit]:
    newest = next((record for record in records if record.last_known.get("stages")), None)
    if newest is None:
        return {}
    start = newest.start
    told = start.get("max_dead_rate")
    share = _DEFAULT_SHARE if told is None else told
    minimum = start.get("max_dead_minimum") or _DEFAULT_MINIMUM
    own = start.get("dead_rates") or {}
    limits = {}
    for stage in newest.last_known["stages"]:
        label = stage["label"]
        given: Mapping[str, Any] = own.get(label) or {}
        fewest = given.get("minimum") or minimum
        if given.get("share") is not None:
            limits[label] = DeadLimit(given["share"], fewest, "its max_dead_rate")
            continue
        usual = _usual_share(records, label)
        if usual is None or usual >= share:
            limits[label] = DeadLimit(share, fewest, "--obs_max_dead_rate")
        else:
            reason = f"{_TIMES_USUAL:g} times the most in its newest runs, {100 * _LEAST_SHARE:g} % at least"
            limits[label] = DeadLimit(usual, fewest, reason)
    return limits


def _usual_share(records: Sequence[RunRecord], label: str) -> float | None:
    """Returns the share that a stage may refuse by what it did in runs that are done, two digits of it."""
    shares = [
        stage["dead"] / stage["in"]
        for record in records
        if record.status == "done"
        for stage in record.last_known.get("stages") or ()
        if stage["label"] == label and stage["in"] > 0
    ]
    if len(shares) < LEAST_RUNS:
        return None
    return float(f"{max(_LEAST_SHARE, _TIMES_USUAL * max(shares)):.2g}")
