"""Counters and histograms of runs whose steps run in the launcher's own process, read while they run.

Some runners give no result before the end. Beam counts in a container for each step and bundle: those that
are at work are looked at, and what the others had when their bundle ended is kept. A bundle that was tried
twice counts twice.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

from beam_obs.metrics import names
from beam_obs.metrics.families import Family, families_of_counters
from beam_obs.metrics.instrument_names import USERS_NAMESPACE
from beam_obs.metrics.instruments import Counter, Histogram, made_instruments

_LOCK = threading.Lock()
_RUNS: dict[str, _Run] = {}

_Series = tuple[str, str]
"""Label of a step, and name of a Beam counter."""


class _Run:
    def __init__(self) -> None:
        self.at_work: dict[int, tuple[str, Any]] = {}
        self.ended: dict[_Series, int] = {}


def count_here(run: str) -> None:
    """Says that this process launches a run, and asks for its numbers while it lives."""
    with _LOCK:
        _RUNS[run] = _Run()


def bundle_began(run: str, step: str) -> None:
    """Notes that a step begins a bundle in this thread.

    Args:
      run: id of its run.
      step: its full label.
    """
    found = _RUNS.get(run)
    if found is None:
        return
    with contextlib.suppress(Exception), _LOCK:  # ours: no reason for a pipeline to fail
        container = MetricsEnvironment.current_container()
        if container is not None:
            found.at_work[id(container)] = names.stage_of_step(step), container


def bundle_ended(run: str) -> None:
    """Keeps what the step that this thread is in has counted in the bundle that ends."""
    found = _RUNS.get(run)
    if found is None:
        return
    with contextlib.suppress(Exception), _LOCK:
        at_work = found.at_work.pop(id(MetricsEnvironment.current_container()), None)
        if at_work is not None:
            _add(found.ended, *at_work)


def families_here(run: str) -> tuple[Family, ...]:
    """Returns what counters and histograms of a run say so far; none of a run that is launched elsewhere."""
    found = _RUNS.get(run)
    if found is None or not made_instruments((Counter, Histogram)):
        return ()
    with _LOCK:
        counts = dict(found.ended)
        for step, container in found.at_work.values():
            _add(counts, step, container)
    return tuple(families_of_counters((step, name, count) for (step, name), count in counts.items()))


def forget_instruments(run: str) -> None:
    """Drops what is known of a run that has ended."""
    with _LOCK:
        _RUNS.pop(run, None)


def _add(counts: dict[_Series, int], step: str, container: Any) -> None:
    for key, cell in list(container.metrics.items()):
        name = key.metric_name
        if isinstance(name, MetricName) and name.namespace == USERS_NAMESPACE:
            counts[step, name.name] = counts.get((step, name.name), 0) + int(cell.get_cumulative())
