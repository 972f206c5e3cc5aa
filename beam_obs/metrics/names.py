"""Names of the instruments: counters, which every runner merges rightly by summing, and one distribution.

At most 30 names in all, since Dataflow limits user metrics; a histogram is a fixed set of counters,
one for each bound, cumulative as Prometheus' ``le`` buckets are.
"""

from __future__ import annotations

NAMESPACE = "beam_obs"

IN = "in"
OUT = "out"
DEAD = "dead"
DEAD_LEFTOVERS = "dead_leftovers"
"""Of the dead, those that stand for no element: the end of a bundle, or a timer, failed."""
FILTERED = "filtered"
COMBINED = "combined"
"""Of the taken, those that a combine has in its aggregates."""
BROKEN = "broken"
"""Records passed on although they broke an assumption of a Check that only counts."""
GATHERED = "gathered"
"""Elements that are in the groups, aggregates or batches that a step gave."""
LATE = "late"
"""Of the gathered, those in panes that are late, but not too late for their window."""
EVENT_LAG_MS = "event_lag_ms"
"""A distribution: time now less the time of an element, at a step that groups by window, of a sample."""
RETRIED = "retried"
"""Attempts beside the first ones, of records that failed with a transient error."""
INTERNAL_ERRORS = "internal_errors"
COMMITS_LOST = "commits_lost"
"""Files of manifests of lineage that could not be written."""
TRACEPARENTS_IGNORED = "traceparents_ignored"
"""Records that came with a ``traceparent`` which is malformed."""
TELEMETRY_LOST = "telemetry_lost"
"""Spans and log lines that reached nobody: the backend is down, or there were too many."""
OF_TELEMETRY = frozenset({TRACEPARENTS_IGNORED, TELEMETRY_LOST})
VALUES_REFUSED = "values_refused"
"""Values given to users' instruments that are no finite numbers, or too large."""
VALUES_NOT_KEPT = "values_not_kept"
"""Values given to gauges and summaries where there is nothing to keep them in."""
SERIES_BEYOND = "series_beyond"
"""Uses of labels for which an instrument has no series of their own any more."""
OF_INSTRUMENTS = frozenset({VALUES_REFUSED, VALUES_NOT_KEPT, SERIES_BEYOND})

LATENCY_PREFIX = "latency_us_le_"
LATENCY_BOUNDS_US: tuple[int, ...] = (
    1,
    5,
    25,
    100,
    500,
    2_500,
    10_000,
    50_000,
    250_000,
    1_000_000,
    10_000_000,
)
"""Upper bounds of the latency buckets in microseconds; the last bucket, ``inf``, has no bound."""

LATENCY_NAMES: tuple[str, ...] = tuple(f"{LATENCY_PREFIX}{bound}" for bound in (*LATENCY_BOUNDS_US, "inf"))

INNER_LEAF = "Observed"
"""Label of the ParDo inside a stage: Beam reports its metrics by that leaf's full path."""

LATER_LEAF = "ObservedLater"
"""Label of a second one, behind a write, that corrects the stage's counts by what a service refused."""


def is_within(label: str, step: str) -> bool:
    """Returns whether a label is that of a step, or of a part of it.

    >>> is_within("infer/RunInference", "infer"), is_within("inference", "infer")
    (True, False)
    """
    return label == step or label.startswith(f"{step}/")


def stage_of_step(step: str) -> str:
    """Returns the stage's label for the step name that a runner reports.

    >>> stage_of_step("outer/parse/Observed")
    'outer/parse'
    >>> stage_of_step("parse")
    'parse'
    >>> stage_of_step("read/Observed/Process")
    'read'
    >>> stage_of_step("write/ObservedLater")
    'write'
    """
    if step.endswith(f"/{INNER_LEAF}/Process"):  # what runners call the last part of a splittable DoFn
        step = step.removesuffix("/Process")
    step = step.removesuffix(f"/{LATER_LEAF}")
    while step.endswith(f"/{INNER_LEAF}"):  # twice where the stage has more than one output
        step = step.removesuffix(f"/{INNER_LEAF}")
    return step


def users_step(step: str) -> str:
    """Returns the name that a step would have without the Stage around it.

    >>> users_step("outer/parse/Observed")
    'outer/parse'
    >>> users_step("read/Observed/Process")
    'read/Process'
    >>> users_step("parse")
    'parse'
    """
    end = "/Process" if step.endswith(f"/{INNER_LEAF}/Process") else ""
    return stage_of_step(step) + end if step.endswith(f"/{INNER_LEAF}{end}") else step
