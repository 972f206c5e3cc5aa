"""Counters and histograms of runs whose steps run in the launcher's own process, read while they run.

Some runners give no result before the end. Beam counts in a container for each step and bundle: those that
are at work are looked at, and what the others had when their bundle ended is kept. A bundle that was tried
twice counts twice.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from apache_beam.metrics.execution import MetricsEnvironment
from apache_beam.metrics.metricbase import MetricName

from beam_obs.metrics import names
from beam_obs.metrics.families import Family, Sample, families_of_counters
from beam_obs.metrics.instrument_names import USERS_NAMESPACE
from beam_obs.metrics.instruments import Counter, Histogram, made_instruments

_LOCK = threading.Lock()
_RUNS: dict[str, _Run] = {}

_Series = tuple[str, str]
"""Label of a step, and name of a Beam counter."""


class _AtWork(NamedTuple):
    """A step that is in a bundle.

    Args:
      step: its label.
      container: of Beam, where it counts.
      before: what was in that when the bundle began: the direct runner keeps one for all bundles of a step.
    """

    step: str
    container: Any
    before: dict[str, int]


class _Run:
    def __init__(self) -> None:
        self.at_work: dict[int, _AtWork] = {}
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
            found.at_work[id(container)] = _AtWork(names.stage_of_step(step), container, _counts(container))


def bundle_ended(run: str) -> None:
    """Keeps what the step that this thread is in has counted in the bundle that ends."""
    found = _RUNS.get(run)
    if found is None:
        return
    with contextlib.suppress(Exception), _LOCK:
        at_work = found.at_work.pop(id(MetricsEnvironment.current_container()), None)
        if at_work is not None:
            _add(found.ended, at_work)


def families_here(run: str) -> tuple[Family, ...]:
    """Returns what counters and histograms of a run say so far; none of a run that is launched elsewhere."""
    found = _RUNS.get(run)
    if found is None or not made_instruments((Counter, Histogram)):
        return ()
    with _LOCK:
        counts = dict(found.ended)
        for at_work in found.at_work.values():
            _add(counts, at_work)
    return tuple(families_of_counters((step, name, count) for (step, name), count in counts.items()))


def with_counts_here(run: str, told: Iterable[Family]) -> tuple[Family, ...]:
    """Returns what a runner that lost counts tells, or what was counted in this process where that is more.

    Args:
      run: id of the run.
      told: what the runner tells.
    """
    found: dict[tuple[str, str], dict[tuple[str, frozenset[tuple[str, str]]], Sample]] = {}
    for family in (*told, *families_here(run)):
        samples = found.setdefault((family.name, family.kind), {})
        for sample in family.samples:
            key = sample.step, frozenset(sample.labels.items())
            if key not in samples or _count(sample) > _count(samples[key]):
                samples[key] = sample
    return tuple(Family(name, kind, tuple(samples.values())) for (name, kind), samples in found.items())


def _count(sample: Sample) -> float:
    return (sample.value if sample.count is None else sample.count) or 0


def forget_instruments(run: str) -> None:
    """Drops what is known of a run that has ended."""
    with _LOCK:
        _RUNS.pop(run, None)


def _add(counts: dict[_Series, int], at_work: _AtWork) -> None:
    for name, count in _counts(at_work.container).items():
        key = at_work.step, name
        counts[key] = counts.get(key, 0) + count - at_work.before.get(name, 0)


def _counts(container: Any) -> dict[str, int]:
    """Returns what counters of users' instruments say, by their names."""
    return {
        name.name: int(cell.get_cumulative())
        for name, cell in ((key.metric_name, cell) for key, cell in list(container.metrics.items()))
        if isinstance(name, MetricName) and name.namespace == USERS_NAMESPACE
    }
