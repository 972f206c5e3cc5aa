"""Samples as single numbers with names, as Prometheus' text has them: for targets that lack its kinds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from beam_obs.metrics.families import COUNTER, HISTOGRAM, SUMMARY, Family, Sample
from beam_obs.metrics.instrument_names import BOUND_LABEL, BUCKET, SUM
from beam_obs.metrics.run_numbers import RunNumbers

COUNT = "_count"
QUANTILE_LABEL = "quantile"


class FlatSeries(NamedTuple):
    """One number.

    Args:
      name: as in Prometheus, with ``_bucket``, ``_count`` or ``_sum`` where it is a part of a metric.
      labels: pipeline, stage, those of the series, and ``le`` or ``quantile``.
      value: finite.
      is_total: whether it counts up from the start of the run; else it is what holds now.
    """

    name: str
    labels: Mapping[str, str]
    value: float
    is_total: bool


def labels_of(numbers: RunNumbers, sample: Sample) -> dict[str, str]:
    """Returns the labels that a sample has at every target.

    >>> labels_of(RunNumbers("flights", "1", 0, ()), Sample("parse", {"error": "ValueError"}))
    {'pipeline': 'flights', 'stage': 'parse', 'error': 'ValueError'}
    """
    stage = {"stage": sample.step} if sample.step else {}
    labels = {"pipeline": numbers.pipeline, **stage, **sample.labels}
    return {name: _encodable(text) for name, text in labels.items()}


def flat_series(numbers: RunNumbers, family: Family, sample: Sample) -> Iterator[FlatSeries]:
    """Yields the numbers of a sample; none that is not finite.

    >>> family = Family("wait_seconds", "summary", ())
    >>> sample = Sample("use", quantiles={"0.5": 2.0}, count=3, sum=6.5)
    >>> for series in flat_series(RunNumbers("small", "1", 0, ()), family, sample):
    ...     print(series.name, series.labels.get("quantile"), series.value, series.is_total)
    wait_seconds 0.5 2.0 False
    wait_seconds_count None 3 True
    wait_seconds_sum None 6.5 True
    """
    labels = labels_of(numbers, sample)
    # What a window holds becomes less as it slides.
    is_total = sample.window_seconds is None
    found = []
    if sample.value is not None:
        found.append(FlatSeries(family.name, labels, sample.value, family.kind == COUNTER))
    for bound, count in (sample.buckets or {}).items():
        found.append(FlatSeries(family.name + BUCKET, {**labels, BOUND_LABEL: bound}, count, True))
    for quantile, value in (sample.quantiles or {}).items():
        found.append(FlatSeries(family.name, {**labels, QUANTILE_LABEL: quantile}, value, False))
    if family.kind in (HISTOGRAM, SUMMARY):
        for end, part in ((COUNT, sample.count), (SUM, sample.sum)):
            if part is not None:
                found.append(FlatSeries(family.name + end, labels, part, is_total))
    return (series for series in found if _is_number(series.value))


class Buckets(NamedTuple):
    """What the buckets of a histogram hold, each for itself.

    Args:
      bounds: the upper ones, but for the last, which has none.
      counts: how many values are in each, one more than there are bounds.
    """

    bounds: list[float]
    counts: list[int]


def buckets_of(sample: Sample) -> Buckets | None:
    """Returns the buckets of a histogram; None where it has none, or none that can be understood.

    >>> buckets_of(Sample("parse", buckets={"0.5": 2, "1": 3, "+Inf": 3}))
    Buckets(bounds=[0.5, 1.0], counts=[2, 1, 0])
    """
    try:
        until = sorted((float(bound), int(count)) for bound, count in (sample.buckets or {}).items())
    except (TypeError, ValueError):
        return None
    bounds = [bound for bound, _ in until if math.isfinite(bound)]
    counts = [later - earlier for earlier, later in itertools.pairwise([0, *(count for _, count in until)])]
    if not bounds or len(counts) != len(bounds) + 1 or min(counts) < 0:
        return None
    return Buckets(bounds, counts)


def _encodable(text: object) -> str:
    """Returns a text without halves of characters, which JSON may hold and no target takes."""
    known = str(text)
    return known if known.isascii() else known.encode(errors="replace").decode()


def _is_number(value: object) -> bool:
    """Whether a value is a finite number: a store may have been written by someone else."""
    return isinstance(value, (int, float)) and math.isfinite(value)
