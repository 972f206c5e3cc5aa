"""Numbers of runs as Google Cloud Monitoring has them: types of metrics, points, monitored resources.

https://cloud.google.com/monitoring/api/ref_v3/rpc/google.monitoring.v3
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from beam_obs.exporters.flat_series import COUNT, Buckets, buckets_of, flat_series, labels_of
from beam_obs.exporters.metric_units import unit_of
from beam_obs.metrics.families import COUNTER, HISTOGRAM, Family, Sample
from beam_obs.metrics.own_families import OWN_FAMILIES
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra

try:
    from google.api.distribution_pb2 import Distribution
    from google.api.label_pb2 import LabelDescriptor
    from google.api.metric_pb2 import Metric, MetricDescriptor
    from google.api.monitored_resource_pb2 import MonitoredResource
    from google.cloud.monitoring_v3 import Point, TimeInterval, TimeSeries, TypedValue
except ImportError:
    raise MissingExtra("Google Cloud Monitoring", "gcp") from None

PREFIX = "custom.googleapis.com/beam_obs/"
"""Types of metrics that are no service's own begin with the name of this domain."""

_OURS = "beam_obs_"
_MOST_LABEL_CHARACTERS = 1024
_DATAFLOW = "DataflowRunner"


class CloudPoint(NamedTuple):
    """What a series is, and its value.

    Args:
      family: that it is of.
      metric_type: as the service names it.
      labels: of the metric.
      is_total: whether it counts up from the start of the run: cumulative, else a gauge.
      value_type: ``INT64``, ``DOUBLE`` or ``DISTRIBUTION``, as a value of `MetricDescriptor.ValueType`.
      value: of that type.
    """

    family: Family
    metric_type: str
    labels: dict[str, str]
    is_total: bool
    value_type: int
    value: int | float | Distribution

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What tells its series from others of the resource."""
        return self.metric_type, tuple(sorted(self.labels.items()))

    @property
    def metric_kind(self) -> int:
        """Cumulative or a gauge, as a value of `MetricDescriptor.MetricKind`."""
        kinds = MetricDescriptor.MetricKind
        return int(kinds.CUMULATIVE if self.is_total else kinds.GAUGE)

    def time_series(self, resource: MonitoredResource, start: int, end: int) -> TimeSeries:
        """Returns the series with this one point.

        Args:
          resource: that it is of.
          start: when the run began, microseconds since 1970.
          end: when the value holds.
        """
        # Of a total the interval must not be empty.
        interval = {"end_time": _timestamp(end)}
        if self.is_total:
            interval["start_time"] = _timestamp(min(start, end - 1_000))
        types = MetricDescriptor.ValueType
        field = {types.INT64: "int64_value", types.DOUBLE: "double_value"}.get(
            self.value_type, "distribution_value"
        )
        return TimeSeries(
            metric=Metric(type=self.metric_type, labels=self.labels),
            resource=resource,
            metric_kind=self.metric_kind,
            value_type=self.value_type,
            points=[Point(interval=TimeInterval(interval), value=TypedValue({field: self.value}))],
        )


def metric_type(name: str) -> str:
    """Returns the type of the metric that has a name in Prometheus.

    >>> metric_type("beam_obs_records_in_total")
    'custom.googleapis.com/beam_obs/records_in_total'
    >>> metric_type("rows_total")
    'custom.googleapis.com/beam_obs/instruments/rows_total'
    """
    if name.startswith(_OURS):
        return PREFIX + name.removeprefix(_OURS)
    return f"{PREFIX}instruments/{name}"


def cloud_points(numbers: RunNumbers) -> list[CloudPoint]:
    """Returns the points of a run's numbers, one for each series."""
    found: dict[object, CloudPoint] = {}
    for family in numbers.families:
        for sample in family.samples:
            for point in _points(numbers, family, sample):
                found.setdefault(point.key, point)
    return list(found.values())


def metric_descriptor(
    metric_type: str, points: Iterable[CloudPoint], labels: Iterable[str]
) -> MetricDescriptor:
    """Returns the description of a type of metric.

    Args:
      metric_type: as the service names it.
      points: of that type, at least one.
      labels: names of all its labels.
    """
    first = next(iter(points))
    text = first.family.help or (OWN_FAMILIES.get(first.family.name) or ("", ""))[1]
    if first.value_type == MetricDescriptor.ValueType.DISTRIBUTION:
        text += " The mean is estimated by the buckets where nobody has the sum."
    return MetricDescriptor(
        type=metric_type,
        labels=[LabelDescriptor(key=name) for name in sorted(labels)],
        metric_kind=first.metric_kind,
        value_type=first.value_type,
        unit=unit_of(metric_type) or "1",
        description=text.strip(),
        display_name=metric_type.removeprefix(PREFIX),
    )


def monitored_resource(numbers: RunNumbers, project: str) -> MonitoredResource:
    """Returns what the numbers of a run are of: a job of Dataflow, or else a task of its pipeline.

    >>> numbers = RunNumbers("flights", "0198", 0, (), attributes={"runner": "PrismRunner"})
    >>> resource = monitored_resource(numbers, "weather")
    >>> resource.type, resource.labels["job"], resource.labels["task_id"]
    ('generic_task', 'flights', '0198')
    """
    known = numbers.attributes
    if known.get("runner") == _DATAFLOW and known.get("job_name") and known.get("region"):
        labels = {"region": known["region"], "job_name": known["job_name"]}
        return MonitoredResource(type="dataflow_job", labels={"project_id": project, **labels})
    labels = {"location": known.get("region", "global"), "namespace": "beam_obs"}
    labels |= {"job": numbers.pipeline, "task_id": numbers.run}
    return MonitoredResource(type="generic_task", labels={"project_id": project, **labels})


def _points(numbers: RunNumbers, family: Family, sample: Sample) -> Iterator[CloudPoint]:
    types = MetricDescriptor.ValueType
    if family.kind == HISTOGRAM:
        buckets = buckets_of(sample)
        if buckets is not None:
            labels, value = _cut(labels_of(numbers, sample)), _distribution(buckets, sample.sum)
            yield CloudPoint(family, metric_type(family.name), labels, True, int(types.DISTRIBUTION), value)
        return
    for series in flat_series(numbers, family, sample):
        is_whole = family.kind == COUNTER or series.name == family.name + COUNT
        yield CloudPoint(
            family,
            metric_type(series.name),
            _cut(series.labels),
            series.is_total,
            int(types.INT64 if is_whole else types.DOUBLE),
            int(series.value) if is_whole else float(series.value),
        )


def _distribution(buckets: Buckets, known_sum: float | None) -> Distribution:
    count = sum(buckets.counts)
    total = _estimated_sum(*buckets) if known_sum is None else known_sum
    explicit = Distribution.BucketOptions.Explicit(bounds=buckets.bounds)
    return Distribution(
        count=count,
        mean=total / count if count else 0.0,
        bucket_options=Distribution.BucketOptions(explicit_buckets=explicit),
        bucket_counts=buckets.counts,
    )


def _estimated_sum(bounds: list[float], counts: list[int]) -> float:
    """Returns the sum of values that lie in the middle of their buckets; at the end of those that have one.

    >>> _estimated_sum([1.0, 2.0], [2, 4, 1])
    9.0
    """
    ends = [min(0.0, bounds[0]), *bounds, bounds[-1]]
    middles = ((lower + upper) / 2 for lower, upper in itertools.pairwise(ends))
    return sum(middle * count for middle, count in zip(middles, counts, strict=True))


def _cut(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: text[:_MOST_LABEL_CHARACTERS] for name, text in labels.items()}


def _timestamp(microseconds: int) -> dict[str, int]:
    return {"seconds": microseconds // 1_000_000, "nanos": microseconds % 1_000_000 * 1_000}
