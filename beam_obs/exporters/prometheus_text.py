"""Numbers of runs in the text formats of Prometheus, in pieces, so that those of many runs need no room."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator

from beam_obs.metrics.families import COUNTER, HISTOGRAM, NO_BOUND, SUMMARY, Family, Sample
from beam_obs.metrics.instrument_names import BOUND_LABEL, BUCKET, TOTAL
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.records.errors import MissingExtra

try:
    from prometheus_client.core import Exemplar, Metric
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.exposition import generate_latest as plain_text
    from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
    from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
except ImportError:
    raise MissingExtra("Prometheus", "prometheus") from None

PIPELINE, STAGE = "pipeline", "stage"
"""Labels of every sample: the pipeline, and the step where the number is of one."""

OPENMETRICS = "application/openmetrics-text"
"""What a scraper accepts that takes exemplars."""

TRACE = "trace_id"
"""Label of an exemplar: an origin, which is one by its form."""

_END = b"# EOF\n"
_LOGGER = logging.getLogger(__name__)
_TOLD: set[tuple[str, str, str]] = set()
"""Families of which it was said that they are left out."""
_MOST_TOLD = 100

_SUFFIXES = {
    COUNTER: ("_total", "_created"),
    HISTOGRAM: ("_bucket", "_count", "_sum", "_created"),
    SUMMARY: ("_count", "_sum", "_created"),
}
"""By kind, what the formats put behind the name of a metric to name its samples."""


class Metrics:
    """Metrics of runs, as functions of prometheus_client take them.

    Args:
      metrics: of these.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def metrics_of_run(numbers: RunNumbers) -> Metrics:
    """Returns the metrics of one run; none of a family that cannot be said."""
    found = []
    for of_name in _by_name([numbers]).values():
        with contextlib.suppress(ValueError, OverflowError):  # of a store that somebody else wrote
            metric = _metric(of_name[0][1], of_name)
            _encode(metric, openmetrics=False)
            found.append(metric)
    return Metrics(found)


def content_type(openmetrics: bool) -> str:
    """Returns the type of what `prometheus_text` gives."""
    return CONTENT_TYPE_LATEST if openmetrics else CONTENT_TYPE_PLAIN_0_0_4


def prometheus_text(runs: Iterable[RunNumbers], openmetrics: bool = False) -> Iterator[bytes]:
    """Yields the text of the numbers of runs, by family and run.

    Args:
      runs: at most one of each pipeline.
      openmetrics: whether it is that of OpenMetrics, which has exemplars.
    """
    for of_name in _by_name(runs).values():
        first = of_name[0][1]
        head = _encode(_metric(first, []), openmetrics)
        yield head
        for one in of_name:
            with contextlib.suppress(ValueError, OverflowError):  # of a store that somebody else wrote
                yield _encode(_metric(first, [one]), openmetrics).removeprefix(head)
    if openmetrics:
        yield _END


def _by_name(runs: Iterable[RunNumbers]) -> dict[str, list[tuple[RunNumbers, Family]]]:
    """Returns the families of runs by what the formats call them; of names that clash the first."""
    found: dict[str, list[tuple[RunNumbers, Family]]] = {}
    taken: set[str] = set()
    for numbers in runs:
        for family in numbers.families:
            name = _name(family)
            if name not in found:
                of_samples = {name + suffix for suffix in ("", *_SUFFIXES.get(family.kind, ()))}
                if taken & of_samples:
                    _tell_left_out(numbers, family)
                    continue
                taken |= of_samples
                found[name] = []
            elif found[name][0][1].kind != family.kind:
                _tell_left_out(numbers, family)
                continue
            found[name].append((numbers, family))
    return found


def _tell_left_out(numbers: RunNumbers, family: Family) -> None:
    told = (numbers.pipeline, family.kind, family.name)
    if told not in _TOLD and len(_TOLD) < _MOST_TOLD:
        _TOLD.add(told)
        _LOGGER.warning(
            "the %s %r of %s is left out: Prometheus takes it for another metric of a name that differs "
            "by its end alone, or not at all; give one of them another name",
            family.kind,
            family.name,
            numbers.pipeline,
        )


def _name(family: Family) -> str:
    return family.name.removesuffix(TOTAL) if family.kind == COUNTER else family.name


def _encode(metric: Metric, openmetrics: bool) -> bytes:
    encode = openmetrics_text if openmetrics else plain_text
    return encode(Metrics([metric])).removesuffix(_END)


def _metric(first: Family, families: Iterable[tuple[RunNumbers, Family]]) -> Metric:
    name = _name(first)
    metric = Metric(name, first.help or first.name, first.kind)
    for numbers, family in families:
        told = set()
        for sample in family.samples:
            labels = {**sample.labels, PIPELINE: numbers.pipeline}
            if sample.step:
                labels[STAGE] = sample.step
            key = tuple(sorted(labels.items()))
            if key not in told:
                told.add(key)
                _add(metric, sample, labels)
    return metric


def _add(metric: Metric, sample: Sample, labels: dict[str, str]) -> None:
    name = metric.name
    if metric.type == COUNTER:
        exemplar = Exemplar({TRACE: sample.example}, 1.0) if sample.example else None
        metric.add_sample(name + TOTAL, labels, _count(sample.value), exemplar=exemplar)
    elif sample.buckets is not None:
        for bound, count in sample.buckets.items():
            bound = bound if bound == NO_BOUND else repr(float(bound))
            metric.add_sample(name + BUCKET, {**labels, BOUND_LABEL: bound}, _count(count))
    elif sample.quantiles is not None:
        for share, value in sample.quantiles.items():
            metric.add_sample(name, {**labels, "quantile": repr(float(share))}, _number(value))
    else:
        metric.add_sample(name, labels, _number(sample.value))
    if sample.count is not None and sample.sum is not None:  # OpenMetrics has no count without a sum
        metric.add_sample(name + "_count", labels, _count(sample.count))
        metric.add_sample(name + "_sum", labels, _number(sample.sum))


def _number(value: float | None) -> float:
    if value is None:
        raise ValueError("a sample without a value")
    return float(value)


def _count(value: float | None) -> float:
    number = _number(value)
    if not number >= 0:  # a scraper that is told one below zero refuses all that it is told with it
        raise ValueError("a count below zero, or none")
    return number
