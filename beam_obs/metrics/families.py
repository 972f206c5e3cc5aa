"""The data model of numbers: families of samples, as Prometheus has them, and how Beam's counters make them.

It knows nothing of how a number is shown or sent, and imports no Beam.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from beam_obs.metrics.instrument_names import (
    BOUND_LABEL,
    BUCKET,
    SUM,
    SUM_MICROS,
    TOTAL,
    parse_series,
    series_name,
)

COUNTER, GAUGE, HISTOGRAM, SUMMARY = "counter", "gauge", "histogram", "summary"

NO_BOUND = "+Inf"

_MOST = 1 << 63


@dataclasses.dataclass(frozen=True)
class Sample:
    """The numbers of one series in one step.

    Args:
      step: label of the step; empty where the number is of the whole job.
      labels: of the series.
      value: of a counter or a gauge.
      at: when a gauge was set, microseconds since 1970.
      buckets: of a histogram: by upper bound as text, how many values are that or less; `NO_BOUND` the last.
      quantiles: of a summary: by quantile as text, the value.
      rank_error: of a summary: by how much the ranks of its quantiles may be off, as a share of the values.
      window_seconds: of a summary: what time before its last value it is of; None for the whole run.
      count: number of values of a histogram or summary.
      sum: of these.
      example: of a counter: the origin of one of the records that it counts.
    """

    step: str
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    value: float | None = None
    at: int | None = None
    buckets: Mapping[str, int] | None = None
    quantiles: Mapping[str, float] | None = None
    rank_error: float | None = None
    window_seconds: float | None = None
    count: int | None = None
    sum: float | None = None
    example: str | None = None


@dataclasses.dataclass(frozen=True)
class Family:
    """All series of one metric.

    Args:
      name: as in Prometheus.
      kind: `COUNTER`, `GAUGE`, `HISTOGRAM` or `SUMMARY`.
      samples: by step and labels.
      help: what it counts, for people.
    """

    name: str
    kind: str
    samples: tuple[Sample, ...]
    help: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns the family as JSON, without the fields that its kind does not have."""
        told = dataclasses.asdict(self)
        told["samples"] = [
            {name: value for name, value in vars(sample).items() if value is not None}
            for sample in self.samples
        ]
        if not self.help:
            del told["help"]
        return told


def families_of_counters(counters: Iterable[tuple[str, str, int]]) -> list[Family]:
    """Returns what Beam counters of users' instruments say, by name.

    Args:
      counters: of each the step, the name as `series_name` wrote it, and the value.

    >>> (family,) = families_of_counters([("parse", 'rows_total{carrier="UA"}', 3)])
    >>> family.name, family.kind, family.samples[0].value
    ('rows_total', 'counter', 3)
    """
    found: dict[tuple[str, str], dict[_Key, dict[str, Any]]] = {}
    for step, series, value in counters:
        parsed = parse_series(series)
        if parsed is None:
            continue
        name, labels = parsed
        bound = labels.pop(BOUND_LABEL, None)
        if name.endswith(BUCKET) and bound is not None:
            of_series = _of(found, name.removesuffix(BUCKET), HISTOGRAM, step, labels)
            buckets = of_series.setdefault("buckets", {})
            buckets[bound] = buckets.get(bound, 0) + value
        elif name.endswith(SUM_MICROS):
            _add(_of(found, name.removesuffix(SUM_MICROS), HISTOGRAM, step, labels), "micros", value)
        elif name.endswith(SUM):
            _add(_of(found, name.removesuffix(SUM), HISTOGRAM, step, labels), "sum", value)
        elif name.endswith(TOTAL):
            _add(_of(found, name, COUNTER, step, labels), "value", value)
    return [
        Family(name, kind, tuple(_sample(*key, told) for key, told in sorted(series.items())))
        for (name, kind), series in sorted(found.items())
    ]


def without_overflown(families: Iterable[Family], problems: list[str]) -> list[Family]:
    """Returns families without counts and sums of more than 63 bits, as Beam's counters and a store hold.

    A counter that overflowed is below zero, mostly.

    Args:
      families: of users' instruments.
      problems: where it is noted what is left out, as sentences.

    >>> problems = []
    >>> without_overflown(families_of_counters([("use", "seen_bytes_total", 3 - 2**63)]), problems)
    []
    >>> problems
    ['counter seen_bytes_total of use is not told: it came to more than a Beam counter holds, 2^63']
    """
    found = []
    for family in families:
        told = []
        for sample in family.samples:
            what = f"{family.kind} {series_name(family.name, sample.labels)} of {sample.step}"
            if family.kind in (COUNTER, HISTOGRAM) and _is_overflown(sample):
                problems.append(f"{what} is not told: it came to more than a Beam counter holds, 2^63")
            elif sample.sum is not None and not abs(sample.sum) < _MOST:
                problems.append(f"{what} is told without its sum, which came to more than 2^63")
                told.append(dataclasses.replace(sample, sum=None))
            else:
                told.append(sample)
        if told:
            found.append(dataclasses.replace(family, samples=tuple(told)))
    return found


def _is_overflown(sample: Sample) -> bool:
    """Whether a sample of a counter or histogram has a count that cannot be."""
    counts = sample.buckets.values() if sample.buckets is not None else (sample.value or 0,)
    return any(not 0 <= count < _MOST for count in counts)


def bucket_quantile(buckets: Mapping[str, int], share: float) -> float | None:
    """Returns the value that `share` of the values are at most, by cumulative buckets.

    Within a bucket, values are taken to be spread evenly, as Prometheus' ``histogram_quantile`` does; beyond
    the last bound that bound is given. None where there are no values, or a bound is no number.

    >>> bucket_quantile({"1.0": 0, "5.0": 90, "25.0": 99, "+Inf": 100}, 0.5)
    3.222...
    """
    try:
        bounds = sorted((float(bound), count) for bound, count in buckets.items())
    except ValueError:
        return None
    if not bounds or not bounds[-1][1]:
        return None
    rank = share * bounds[-1][1]
    lower, below = min(0.0, bounds[0][0]), 0
    for bound, until in bounds:
        if bound == math.inf:
            break
        if until >= rank and until > below:
            return lower + (bound - lower) * (rank - below) / (until - below)
        lower, below = bound, until
    return lower


_Key = tuple[str, tuple[tuple[str, str], ...]]


def _of(
    found: dict[tuple[str, str], dict[_Key, dict[str, Any]]],
    name: str,
    kind: str,
    step: str,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    return found.setdefault((name, kind), {}).setdefault((step, tuple(sorted(labels.items()))), {})


def _add(told: dict[str, Any], field: str, value: int) -> None:
    told[field] = told.get(field, 0) + value


def _sample(step: str, labels: tuple[tuple[str, str], ...], told: Mapping[str, Any]) -> Sample:
    buckets = told.get("buckets")
    if buckets is None:
        return Sample(step, dict(labels), value=told.get("value"))
    ordered = {bound: buckets[bound] for bound in sorted(buckets, key=float)}
    total = told.get("sum", 0) + told.get("micros", 0) / 1_000_000
    return Sample(step, dict(labels), buckets=ordered, count=ordered.get(NO_BOUND, 0), sum=total)
