"""A snapshot: the numbers of a run at one moment, read from the result that any runner gives.

Two kinds, independent of each other: the counters of our stages, and Beam's own element count of each
PCollection. What a runner does not tell is None, never guessed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from apache_beam.metrics.metric import MetricsFilter
from apache_beam.pipeline import AppliedPTransform

from beam_obs.metrics import names
from beam_obs.metrics.dataflow_numbers import numbers_of_result
from beam_obs.metrics.families import NO_BOUND, Family, bucket_quantile, families_of_counters
from beam_obs.metrics.instrument_names import USERS_NAMESPACE
from beam_obs.metrics.live import live_counts

_OF_PRISM = re.compile(r"stage-\d+_source")
"""What Prism calls the sources of its stages; a result does not name its engine."""
_ELEMENT_COUNT_URN = "beam:metric:element_count:v1"
_BYTE_SIZE_URN = "beam:metric:sampled_byte_size:v1"


@dataclasses.dataclass(frozen=True)
class LatencyHistogram:
    """Counts of timed elements, by upper bound in microseconds.

    Args:
      cumulative: for each bound of `names.LATENCY_BOUNDS_US`, and last without any bound, how many were
        as fast or faster.

    >>> LatencyHistogram((0, 90, 99, 100, *[100] * 8)).quantile_us(0.5)
    3.222...
    """

    cumulative: tuple[int, ...] = (0,) * len(names.LATENCY_NAMES)

    @property
    def count(self) -> int:
        """Number of elements that were timed."""
        return self.cumulative[-1]

    def quantile_us(self, share: float) -> float | None:
        """Returns the time within which `share` of the elements were done, in microseconds.

        Within a bucket, times are taken to be spread evenly, as Prometheus' ``histogram_quantile`` does;
        beyond the last bound that bound is given. None where nothing was timed.
        """
        bounds = (*(str(bound) for bound in names.LATENCY_BOUNDS_US), NO_BOUND)
        return bucket_quantile(dict(zip(bounds, self.cumulative, strict=True)), share)


@dataclasses.dataclass(frozen=True)
class StageCounts:
    """Elements of one stage.

    Args:
      in_: taken.
      out: outputs passed on.
      dead: refused, among them `leftovers`.
      leftovers: refusals that stand for no element: the end of a bundle, or a timer, failed.
      filtered: taken without any output.
      internal_errors: errors of our own code, swallowed.
      combined: taken into the aggregates of a combine.
      broken: records passed on although they broke an assumption of a Check that only counts.
      retried: attempts beside the first ones, of records that failed with a transient error.
      latency: times of the elements that were timed.
    """

    in_: int = 0
    out: int = 0
    dead: int = 0
    leftovers: int = 0
    filtered: int = 0
    internal_errors: int = 0
    combined: int = 0
    broken: int = 0
    retried: int = 0
    latency: LatencyHistogram = LatencyHistogram()


class EventLag(NamedTuple):
    """How long ago the times of elements were, when a step took them.

    Args:
      count: how many were asked.
      sum: of their lags, seconds.
      min: the smallest.
      max: the largest.
    """

    count: int  # type: ignore[assignment]
    sum: float
    min: float
    max: float

    def plus(self, other: EventLag | None) -> EventLag:
        """Returns both together."""
        if other is None:
            return self
        count, total = self.count + other.count, self.sum + other.sum
        return EventLag(count, total, min(self.min, other.min), max(self.max, other.max))


class ByteSizes(NamedTuple):
    """Sizes of encoded elements.

    Args:
      count: how many elements were sampled.
      sum: of their sizes, bytes.
      min: the smallest.
      max: the largest.
    """

    count: int  # type: ignore[assignment]
    sum: int
    min: int
    max: int


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The numbers of a run.

    Args:
      stages: counts by label of the stage.
      elements: Beam's own count of elements by id of the PCollection, or None where the runner tells none.
      unclear: PCollections of which the runner tells several counts that differ: none is taken.
      gathered: elements that are in the groups or batches that a woven step gave, by the name that the runner
        has for the step.
      late: of these, those that came late for their window, but not too late.
      lags: how old elements were at steps that group by window.
      live: whether the counts were looked at in this process, for want of a result: a bundle that was
        tried again counts twice.
      may_miss: whether the runner is one that now and then loses the counts of a bundle, so that all its
        counts are the least that there were.
      attempted: whether the runner counts attempts only, so that here too a bundle may count twice.
      commits_lost: files of manifests of lineage that could not be written.
      telemetry: what was lost of traces and logs, by name of our counter.
      instruments: counters and histograms of the user's.
      of_instruments: what was counted of instruments themselves, by name of our counter.
      element_bytes: sizes of elements as Beam samples them, by id of the PCollection.
    """

    stages: Mapping[str, StageCounts] = dataclasses.field(default_factory=dict)
    elements: Mapping[str, int] | None = None
    unclear: frozenset[str] = frozenset()
    gathered: Mapping[str, int] = dataclasses.field(default_factory=dict)
    late: Mapping[str, int] = dataclasses.field(default_factory=dict)
    lags: Mapping[str, EventLag] = dataclasses.field(default_factory=dict)
    live: bool = False
    attempted: bool = False
    commits_lost: int = 0
    telemetry: Mapping[str, int] = dataclasses.field(default_factory=dict)
    may_miss: bool = False
    instruments: tuple[Family, ...] = ()
    of_instruments: Mapping[str, int] = dataclasses.field(default_factory=dict)
    element_bytes: Mapping[str, ByteSizes] = dataclasses.field(default_factory=dict)

    def with_lost(self, count: int) -> Snapshot:
        """Returns the numbers with spans and log lines that were lost when it was too late to count them.

        Args:
          count: how many.
        """
        lost = self.telemetry.get(names.TELEMETRY_LOST, 0) + count
        return dataclasses.replace(self, telemetry={**self.telemetry, names.TELEMETRY_LOST: lost})


def read_snapshot(result: Any, pipeline: Any = None) -> Snapshot:
    """Returns the numbers that a ``PipelineResult`` has, while its job runs or afterwards.

    Args:
      result: what running the pipeline gave.
      pipeline: the ``beam.Pipeline`` that was run; portable runners name steps by ids that only it tells.
    """
    metrics, elements = _told(result)
    return snapshot_of(metrics, elements, labels_by_id(pipeline))


def snapshot_of_answer(answer: Any, labels: Mapping[str, str]) -> Snapshot:
    """Returns the numbers that a job service told of a job.

    Args:
      answer: a ``GetJobMetricsResponse``.
      labels: full labels of the pipeline's steps by their ids in its portable form.
    """
    return snapshot_of(*_of_answer(answer), labels)


def snapshot_of(metrics: Any, elements: ElementCounts, labels: Mapping[str, str]) -> Snapshot:
    """Returns the numbers that metrics and counts of elements tell.

    Args:
      metrics: as Beam's ``MetricResults``.
      elements: Beam's counts.
      labels: full labels of steps by the names that the metrics have for them, where these are others.
    """
    counters: dict[str, dict[str, int]] = {}
    gathered: dict[str, int] = {}
    late: dict[str, int] = {}
    of_users: list[tuple[str, str, int]] = []
    of_instruments: dict[str, int] = {}
    telemetry: dict[str, int] = {}
    attempted = False
    wanted = MetricsFilter().with_namespaces([names.NAMESPACE, USERS_NAMESPACE])
    found = metrics.query(wanted)
    for counter in found["counters"]:
        value = counter.committed if counter.committed is not None else counter.attempted
        attempted = attempted or counter.committed is None
        label, name = str(counter.key.step), counter.key.metric.name
        if counter.key.metric.namespace == USERS_NAMESPACE:
            of_users.append((names.stage_of_step(labels.get(label, label)), name, int(value or 0)))
            continue
        if name in names.OF_INSTRUMENTS:  # of any step, which need not be a stage
            of_instruments[name] = of_instruments.get(name, 0) + int(value or 0)
            continue
        if name in names.OF_TELEMETRY:
            telemetry[name] = telemetry.get(name, 0) + int(value or 0)
            continue
        if counter.key.metric.name == names.GATHERED:
            gathered[label] = int(value or 0)
            continue
        if counter.key.metric.name == names.LATE:
            late[label] = int(value or 0)
            continue
        step = counters.setdefault(names.stage_of_step(labels.get(label, label)), {})
        step[counter.key.metric.name] = step.get(counter.key.metric.name, 0) + int(value or 0)
    return Snapshot(
        {stage: _stage_counts(values) for stage, values in counters.items()},
        elements.counts or None,
        elements.unclear,
        gathered,
        late,
        dict(_lags(found.get("distributions", ()))),
        attempted=attempted,
        commits_lost=sum(values.get(names.COMMITS_LOST, 0) for values in counters.values()),
        telemetry=telemetry,
        may_miss=elements.may_miss,
        instruments=tuple(families_of_counters(of_users)),
        of_instruments=of_instruments,
        element_bytes=elements.bytes,
    )


def _lags(distributions: Iterable[Any]) -> Iterator[tuple[str, EventLag]]:
    for one in distributions:
        told = one.committed if one.committed is not None else one.attempted
        if one.key.metric.name == names.EVENT_LAG_MS and told is not None and told.count:
            yield str(one.key.step), EventLag(told.count, told.sum / 1e3, told.min / 1e3, told.max / 1e3)


def live_snapshot(run: str) -> Snapshot:
    """Returns the numbers of a run whose workers live in this process: no latencies, no element counts."""
    return Snapshot(
        {
            stage: StageCounts(
                in_=counts.taken,
                out=counts.out,
                dead=counts.dead,
                leftovers=counts.leftovers,
                filtered=counts.filtered,
                internal_errors=counts.internal_errors,
                combined=counts.combined,
                retried=counts.retried,
            )
            for stage, counts in live_counts(run).items()
        },
        live=True,
    )


def _stage_counts(values: Mapping[str, int]) -> StageCounts:
    return StageCounts(
        in_=values.get(names.IN, 0),
        out=values.get(names.OUT, 0),
        dead=values.get(names.DEAD, 0),
        leftovers=values.get(names.DEAD_LEFTOVERS, 0),
        filtered=values.get(names.FILTERED, 0),
        internal_errors=values.get(names.INTERNAL_ERRORS, 0),
        combined=values.get(names.COMBINED, 0),
        broken=values.get(names.BROKEN, 0),
        retried=values.get(names.RETRIED, 0),
        latency=LatencyHistogram(tuple(values.get(name, 0) for name in names.LATENCY_NAMES)),
    )


def labels_by_id(pipeline: Any) -> dict[str, str]:
    """Returns the full labels of a pipeline's steps by their ids in its portable form."""
    if pipeline is None:
        return {}
    ids = pipeline.component_id_map._obj_to_id
    return {id_: step.full_label for step, id_ in ids.items() if isinstance(step, AppliedPTransform)}


class ElementCounts(NamedTuple):
    """Beam's counts of elements.

    Args:
      counts: by id of the PCollection.
      unclear: ids of those of which several counts are told that differ.
      may_miss: whether the runner may have lost counts.
      bytes: sizes of elements, by id of the PCollection.
    """

    counts: dict[str, int]
    unclear: frozenset[str] = frozenset()
    may_miss: bool = False
    bytes: Mapping[str, ByteSizes] = {}


def _told(result: Any) -> tuple[Any, ElementCounts]:
    """Returns what a result tells: its metrics, and Beam's element counts.

    Nothing is taken from the result, and nothing left in it: a user who asks later is told what they would
    have been without us.
    """
    by_stage = getattr(result, "_monitoring_infos_by_stage", None)
    if by_stage is not None:
        for stage, infos in by_stage.items():
            if not isinstance(infos, Sequence):  # of a stage that ran twice Beam keeps a generator
                by_stage[stage] = list(infos)
        return result.metrics(), _counts_of_stages(by_stage.values())
    if getattr(result, "_job_service", None) is not None:
        from apache_beam.portability.api import beam_job_api_pb2

        # Not by `metrics`, which keeps its first answer for ever.
        request = beam_job_api_pb2.GetJobMetricsRequest(job_id=result._job_id)
        return _of_answer(result._job_service.GetJobMetrics(request))
    of_dataflow = numbers_of_result(result)
    if of_dataflow is not None:
        return of_dataflow.metrics, ElementCounts({})
    return result.metrics(), ElementCounts({})


def _of_answer(answer: Any) -> tuple[Any, ElementCounts]:
    from apache_beam.runners.portability.portable_runner import PortableMetrics

    told = answer.metrics
    return PortableMetrics(answer), counts_of_job(told.committed or told.attempted)


def _counts_of_stages(stages: Iterable[Iterable[Any]]) -> ElementCounts:
    """Returns the counts in infos by stage.

    A PCollection that is kept between two fused stages is counted by its producer and by each reader.
    """
    counts: dict[str, int] = {}
    sizes: dict[str, ByteSizes] = {}
    for infos in stages:
        _take_larger(sizes, infos)
        of_stage: dict[str, int] = {}
        for pcollection, count in _counts(infos):
            of_stage[pcollection] = of_stage.get(pcollection, 0) + count
        for pcollection, count in of_stage.items():
            counts[pcollection] = max(counts.get(pcollection, 0), count)
    return ElementCounts(counts, bytes=sizes)


def counts_of_job(infos: Iterable[Any]) -> ElementCounts:
    """Returns the counts in the infos of a whole job.

    Where there are several of one PCollection (Flink has one of its producer and one of each stage that reads
    it), nobody says which are parts of one count and which the same count again: only equal ones are sound.
    Prism keeps one payload for a count whose name it does not know yet: of two bundles that end together when
    a stage is new it loses one.
    """
    infos = list(infos)
    found: dict[str, set[int]] = {}
    for pcollection, count in _counts(infos):
        found.setdefault(pcollection, set()).add(count)
    sizes: dict[str, ByteSizes] = {}
    _take_larger(sizes, infos)
    unclear = frozenset(pcollection for pcollection, counts in found.items() if len(counts) > 1)
    return ElementCounts(
        {pcollection: min(counts) for pcollection, counts in found.items() if pcollection not in unclear},
        unclear,
        any(_OF_PRISM.fullmatch(info.labels.get("PTRANSFORM", "")) for info in infos),
        sizes,
    )


def _take_larger(sizes: dict[str, ByteSizes], infos: Iterable[Any]) -> None:
    """Adds the sizes in infos; where there are several of one PCollection, those of more elements count."""
    for info in infos:
        if info.urn == _BYTE_SIZE_URN:
            numbers = _varints(info.payload)
            found = ByteSizes(*numbers) if len(numbers) == len(ByteSizes._fields) else None
            before = sizes.get(info.labels["PCOLLECTION"])
            if found is not None and found.count > (before.count if before is not None else 0):
                sizes[info.labels["PCOLLECTION"]] = found


def _counts(infos: Iterable[Any]) -> Iterator[tuple[str, int]]:
    for info in infos:
        if info.urn == _ELEMENT_COUNT_URN:
            yield info.labels["PCOLLECTION"], _varints(info.payload)[0]


def _varints(payload: bytes) -> list[int]:
    """Returns the numbers in a payload of type ``beam:metrics:sum_int64:v1`` or ``distribution_int64:v1``.

    >>> _varints(bytes([0x96, 0x01, 0x05]))
    [150, 5]
    """
    found, value, shift = [], 0, 0
    for byte in payload:
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            found.append(value)
            value = shift = 0
    return found or [0]
