"""Numbers of runs as metrics of OpenTelemetry: totals of the run, or what they grew by since the last time.

https://opentelemetry.io/docs/specs/otel/metrics/data-model/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from beam_obs.exporters.flat_series import Buckets, buckets_of, flat_series, labels_of
from beam_obs.exporters.metric_units import unit_of
from beam_obs.exporters.sent_totals import SentTotals, SeriesKey
from beam_obs.metrics.families import HISTOGRAM, Family, Sample
from beam_obs.metrics.instrument_names import SUM
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra

try:
    from opentelemetry.sdk.metrics import export as sdk
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError:
    raise MissingExtra("OTLP", "otel") from None

_ATTRIBUTES = {
    "runner": "beam.runner",
    "beam_version": "beam.version",
    "code_version": "service.version",
    "region": "cloud.region",
}
"""What is known of a run from its start on, and its name in the resource, which must not change meanwhile."""


class OtlpPoints(NamedTuple):
    """Numbers of a run as the SDK of OpenTelemetry has them.

    Args:
      data: to be exported.
      sent: what was sent of the run when they are.
    """

    data: sdk.MetricsData
    sent: SentTotals


def otlp_points(numbers: RunNumbers, before: SentTotals, is_delta: bool) -> OtlpPoints:
    """Returns the metrics that tell the numbers of a run.

    Args:
      numbers: of the run.
      before: what was sent of it; at first the start of the run, and no totals.
      is_delta: whether counters and histograms tell what was counted since then, or since the run began.
    """
    made = _Points(numbers, before, is_delta)
    for family in numbers.families:
        for sample in family.samples:
            made.add(family, sample)
    metrics = [sdk.Metric(name, text, unit_of(name), data) for name, (text, data) in made.metrics.items()]
    scope = sdk.ScopeMetrics(InstrumentationScope("beam_obs"), metrics, "")
    data = sdk.MetricsData([sdk.ResourceMetrics(resource_of(numbers), [scope], "")])
    return OtlpPoints(data, SentTotals(numbers.at, made.totals))


def resource_of(numbers: RunNumbers) -> Resource:
    """Returns what the numbers of a run are of: its pipeline is the service, the run an instance of it.

    What the variables ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` say comes first.
    """
    known = {_ATTRIBUTES[name]: text for name, text in numbers.attributes.items() if name in _ATTRIBUTES}
    ours = {
        "service.name": numbers.pipeline,
        "service.instance.id": numbers.run,
        "beam.pipeline": numbers.pipeline,
        "beam.run_id": numbers.run,
    }
    return Resource({**ours, **known}).merge(OTELResourceDetector().detect())


class _Points:
    """The points of a run's numbers, by metric, as they are added."""

    def __init__(self, numbers: RunNumbers, before: SentTotals, is_delta: bool) -> None:
        temporality = sdk.AggregationTemporality
        self.metrics: dict[str, tuple[str, Any]] = {}
        self.totals: dict[SeriesKey, tuple[float, ...]] = {}
        self._numbers = numbers
        self._is_delta = is_delta
        self._before = before.totals if is_delta else {}
        self._temporality = temporality.DELTA if is_delta else temporality.CUMULATIVE
        self._start = 1_000 * before.at if is_delta else 1_000 * numbers.began
        self._end = 1_000 * numbers.at

    def add(self, family: Family, sample: Sample) -> None:
        if family.kind == HISTOGRAM:
            buckets = buckets_of(sample)
            if buckets is not None:
                self._add_histogram(family, sample, buckets)
            return
        for name, labels, value, is_total in flat_series(self._numbers, family, sample):
            # A sum may have values below zero in it: it is no counter, whose temporality would be asked for.
            if is_total and not name.endswith(SUM):
                (grown,) = self._grown(name, labels, [value])
                point = sdk.NumberDataPoint(labels, self._start, self._end, grown)
                self._of(name, family, sdk.Sum([], self._temporality, True)).append(point)
            elif is_total:
                point = sdk.NumberDataPoint(labels, 1_000 * self._numbers.began, self._end, value)
                cumulative = sdk.AggregationTemporality.CUMULATIVE
                self._of(name, family, sdk.Sum([], cumulative, False)).append(point)
            else:
                point = sdk.NumberDataPoint(labels, None, self._end, value)  # type: ignore[arg-type]
                self._of(name, family, sdk.Gauge([])).append(point)

    def _add_histogram(self, family: Family, sample: Sample, buckets: Buckets) -> None:
        labels = labels_of(self._numbers, sample)
        # Optional in the protocol, though not in the types of the SDK: nobody knows the smallest and largest.
        unknown: Any = None
        grown_sum = unknown
        if sample.sum is not None:
            (grown_sum,) = self._grown(family.name + SUM, labels, [sample.sum], may_fall=True)
        counts = [int(count) for count in self._grown(family.name, labels, buckets.counts)]
        point = sdk.HistogramDataPoint(
            labels, self._start, self._end, sum(counts), grown_sum, counts, buckets.bounds, unknown, unknown
        )
        self._of(family.name, family, sdk.Histogram([], self._temporality)).append(point)

    def _grown(
        self, name: str, labels: Mapping[str, str], totals: Sequence[float], may_fall: bool = False
    ) -> list[float]:
        """Returns by how much totals grew since they were sent; keeps them for the next time."""
        key = (name, tuple(labels.items()))
        before = self._before.get(key, (0,) * len(totals))
        if self._is_delta and not may_fall:
            # What a runner counted in a bundle that it did not commit is told in no later bundle.
            totals = [max(now, then) for now, then in zip(totals, before, strict=True)]
        self.totals[key] = tuple(totals)
        return [now - then for now, then in zip(totals, before, strict=True)]

    def _of(self, name: str, family: Family, empty: Any) -> list[Any]:
        """Returns the points of a metric, which is `empty` at first."""
        points: list[Any] = self.metrics.setdefault(name, (family.help, empty))[1].data_points
        return points
