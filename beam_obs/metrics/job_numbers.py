"""The numbers of a job as families, from any result: a user's instruments, those of stages, and Beam's own.

What a runner does not tell is left out and named, never guessed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apache_beam import PCollection

from beam_obs.metrics import names, own_families
from beam_obs.metrics.dataflow_numbers import DataflowNumbers, numbers_of_job, numbers_of_result
from beam_obs.metrics.families import COUNTER, NO_BOUND, Family, Sample, without_overflown
from beam_obs.metrics.run_snapshot import (
    ElementCounts,
    Snapshot,
    StageCounts,
    read_snapshot,
    snapshot_of,
)
from beam_obs.records.errors import MissingExtra, UsageError

_OF_STAGES: tuple[tuple[str, Callable[[StageCounts], int]], ...] = (
    (own_families.RECORDS_IN, lambda counts: counts.in_),
    (own_families.RECORDS_OUT, lambda counts: counts.out),
    (own_families.RECORDS_DEAD, lambda counts: counts.dead),
    (own_families.RECORDS_FILTERED, lambda counts: counts.filtered),
    (own_families.RECORDS_RETRIED, lambda counts: counts.retried),
    (own_families.INTERNAL_ERRORS, lambda counts: counts.internal_errors),
)
_OF_INSTRUMENTS = {
    names.VALUES_REFUSED: "Values given to instruments that are no finite numbers, or too large.",
    names.VALUES_NOT_KEPT: "Values of gauges and summaries that nothing could keep.",
    names.SERIES_BEYOND: "Uses of labels beyond the bound of an instrument.",
}
_OF_OURS = "beam_obs "
"""How labels of steps begin that keep evidence: what goes through them is no data of the user's."""


@dataclasses.dataclass(frozen=True)
class Beside:
    """What an observed run knows beside its result, which has it as `beam_obs_beside`.

    Args:
      pipeline: gives the pipeline under whose ids the runner counts; None where nobody knows.
      kept: gives gauges and summaries, and takes sentences of what cannot be read.
    """

    pipeline: Callable[[], Any]
    kept: Callable[[list[str]], Iterable[Family]]


@dataclasses.dataclass(frozen=True)
class JobNumbers:
    """The numbers of a job at one moment.

    Args:
      families: by name.
      attempted: whether the runner counts attempts only: what was tried again is in counters twice.
      may_miss: whether the runner is one that now and then loses the counts of a bundle.
      missing: what is not in it, each as a sentence.
    """

    families: tuple[Family, ...]
    attempted: bool = False
    may_miss: bool = False
    missing: tuple[str, ...] = ()

    def family(self, name: str) -> Family | None:
        """Returns the family of a name."""
        return next((family for family in self.families if family.name == name), None)


def snapshot(
    result: Any,
    pipeline: Any = None,
    *,
    project: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
) -> JobNumbers:
    """Returns the numbers of a job, while it runs or afterwards, from the result that any runner gives.

    A user's instruments; ``beam_obs_*`` of stages; of each output of a step its elements
    (``beam_obs_elements_total``) and their sizes as Beam samples them (``beam_obs_element_bytes``). Gauges
    and summaries are there of observed runs, as far as bundles were committed.

    Args:
      result: what running the pipeline gave; or the id of a job of Dataflow, whoever launched it.
      pipeline: the ``beam.Pipeline`` that was run. Where the result is not of an observed run it names the
        steps that portable runners know by ids only.
      project: of the job of Dataflow.
      region: of the job of Dataflow.
      endpoint: of Dataflow's API, as Beam's ``--dataflow_endpoint``; by default Google's.

    Raises:
      UsageError: an id without its project and region.
      MissingExtra: an id, and the ``gcp`` extra is not installed.

    >>> import apache_beam as beam
    >>> import beam_obs.metrics
    >>> p = beam.Pipeline("FnApiRunner")
    >>> _ = p | "make" >> beam.Create([1, 2, 3]) | "text" >> beam.Map(str)
    >>> elements = beam_obs.metrics.snapshot(p.run(), p).family("beam_obs_elements_total")
    >>> [sample.value for sample in elements.samples if sample.step == "text"]
    [3]
    """
    missing: list[str] = []
    beside: Beside | None = getattr(result, "beam_obs_beside", None)
    if pipeline is None and beside is not None:
        pipeline = beside.pipeline()
    told = Snapshot()
    of_dataflow: DataflowNumbers | None = None
    if isinstance(result, str) and not (project and region):
        raise UsageError(f"snapshot({result!r}) needs project= and region= of the job")
    try:
        if isinstance(result, str):
            of_dataflow = numbers_of_job(result, project or "", region or "", endpoint)
        else:
            of_dataflow = numbers_of_result(result)
        if of_dataflow is not None:
            told = snapshot_of(of_dataflow.metrics, ElementCounts({}), {})
        else:
            told = read_snapshot(result, pipeline)
    except MissingExtra:
        raise
    except Exception as error:  # of any runner
        missing.append(f"the runner tells no counts: {type(error).__name__}: {error}")
    kept = list(beside.kept(missing)) if beside is not None else []
    outputs = _outputs(pipeline)
    if of_dataflow is not None:
        if not of_dataflow.outputs:
            missing.append("the runner tells no counts of elements")
        if not of_dataflow.knows_steps:
            missing.append("the labels of some steps are not known: they are told by Dataflow's names")
    elif not told.elements:
        missing.append("the runner tells no counts of elements")
    elif not outputs:
        missing.append("the pipeline is not known: elements are told by ids of PCollections")
    if told.unclear:
        missing.append("of some PCollections the runner tells several counts: none of these is taken")
    families = [
        *without_overflown(told.instruments, missing),
        *kept,
        *_of_stages(told.stages),
        *_of_elements(told, outputs),
        *(_of_dataflow(of_dataflow) if of_dataflow is not None else ()),
        *(
            Family(f"beam_obs_{name}_total", COUNTER, (Sample("", value=count),), _OF_INSTRUMENTS[name])
            for name, count in told.of_instruments.items()
        ),
    ]
    ordered = tuple(sorted(families, key=lambda family: family.name))
    return JobNumbers(ordered, told.attempted, told.may_miss, tuple(missing))


def _of_stages(stages: Mapping[str, StageCounts]) -> Iterable[Family]:
    if not stages:
        return
    for name, read in _OF_STAGES:
        yield own_families.own_family(
            name, [Sample(label, value=read(stages[label])) for label in sorted(stages)]
        )
    bounds = [*(repr(bound / 1e6) for bound in names.LATENCY_BOUNDS_US), NO_BOUND]
    yield own_families.own_family(
        own_families.LATENCY,
        [
            Sample(
                label,
                buckets=dict(zip(bounds, stages[label].latency.cumulative, strict=True)),
                count=stages[label].latency.count,
            )
            for label in sorted(stages)
        ],
    )


def _of_dataflow(numbers: DataflowNumbers) -> Iterable[Family]:
    """Yields what only Dataflow tells, or in a way of its own: outputs by position, and means of sizes."""
    outputs = [one for one in numbers.outputs if not one.step.startswith(_OF_OURS)]
    of_outputs = [(names.stage_of_step(one.step), {"output": one.output}, one) for one in outputs]
    sizes = [
        Sample(step, labels, quantiles={}, count=one.elements, sum=one.mean_bytes * one.elements)
        for step, labels, one in of_outputs
        if one.mean_bytes is not None
    ]
    counts = [Sample(step, labels, value=one.elements) for step, labels, one in of_outputs]
    watermarks = [
        Sample(step, {"stage": one.stage}, value=one.seconds)
        for one in numbers.watermarks
        for step in dict.fromkeys(map(names.stage_of_step, one.steps)) or [""]
        if not step.startswith(_OF_OURS)
    ]
    for name, samples in (
        (own_families.ELEMENTS, counts),
        (own_families.ELEMENT_BYTES, sizes),
        (own_families.WATERMARK, watermarks),
    ):
        if samples:
            yield own_families.own_family(name, samples)


def _outputs(pipeline: Any) -> dict[str, tuple[str, str]]:
    """Returns by id of a PCollection the step that gives it, and the tag of the output."""
    if pipeline is None:
        return {}
    return {
        id_: (names.stage_of_step(pcoll.producer.full_label), pcoll.tag or "")
        for pcoll, id_ in pipeline.component_id_map._obj_to_id.items()
        if isinstance(pcoll, PCollection) and pcoll.producer is not None
    }


def _of_elements(told: Snapshot, outputs: Mapping[str, tuple[str, str]]) -> Iterable[Family]:
    counts, sizes = [], []
    for pcollection, count in sorted((told.elements or {}).items()):
        if outputs and pcollection not in outputs:  # of the weave's own
            continue
        step, tag = outputs.get(pcollection, ("", pcollection))
        if step.startswith(_OF_OURS):
            continue
        labels = {"output": tag} if outputs else {"pcollection": pcollection}
        counts.append(Sample(step, labels, value=count))
        size = told.element_bytes.get(pcollection)
        if size is not None:
            ends = {"0.0": float(size.min), "1.0": float(size.max)}
            sizes.append(Sample(step, labels, quantiles=ends, count=size.count, sum=float(size.sum)))
    if counts:
        yield own_families.own_family(own_families.ELEMENTS, counts)
    if sizes:
        yield own_families.own_family(own_families.ELEMENT_BYTES, sizes)
