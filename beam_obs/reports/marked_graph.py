"""The step graph of a run with what happened at each step: counts, dead letters, what carries no lineage."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from beam_obs.metrics.names import is_within
from beam_obs.records.errors import BeamObsError
from beam_obs.store.folding import WITHIN, folded_record
from beam_obs.store.run_record import RunRecord

_WHILE_RUNNING = re.compile(r"\[while running '([^'\n]{1,500})'\]")


class NoStepsYet(BeamObsError):
    """A run has no graph to show: nobody wrote its steps, as earlier releases did not before the end.

    Args:
      run: id of the run.
      status: its status.
    """

    def __init__(self, run: str, status: str) -> None:
        super().__init__(f"no steps are known of run {run} ({status}). `beam-obs runs` lists the others")
        self.run = run
        self.status = status

    def __reduce__(self) -> tuple[type[NoStepsYet], tuple[str, str]]:
        return (NoStepsYet, (self.run, self.status))


@dataclasses.dataclass(frozen=True)
class MarkedStep:
    """One step; numbers are of elements, None where not known.

    Args:
      label: its full label.
      is_stage: whether it is one of our stages.
      taken: number of elements it took.
      given: number of elements it gave.
      dead: number of dead letters.
      filtered: number of elements for which it gave nothing, where it counts them.
      dropped: number of elements that were dropped as late, where it counts them.
      unchecked: why the balance could not check it, or empty.
      opaque: label of the part that carries no lineage -> reason.
      has_failed: whether the run failed while it ran.
      parts: which parts of a composite failed, or refused records, each as a line for people.
      reads: places of the datasets that it reads.
      writes: places of the datasets that it writes.
      p50_us: time within which half of its timed records were done, in microseconds; None where none was.
      p99_us: the same of 99 in 100.
    """

    label: str
    is_stage: bool
    taken: int | None = None
    given: int | None = None
    dead: int = 0
    filtered: int = 0
    dropped: int = 0
    unchecked: str = ""
    opaque: Mapping[str, str] = dataclasses.field(default_factory=dict)
    has_failed: bool = False
    parts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    p50_us: float | None = None
    p99_us: float | None = None


@dataclasses.dataclass(frozen=True)
class MarkedEdge:
    """One PCollection on its way from a step to another.

    Args:
      source: label of the step that gives it.
      target: label of the step that takes it.
      count: number of elements; None where it is not known.
      is_side: whether it is taken as a side input.
      unchecked: why the balance could not check it, or empty.
    """

    source: str
    target: str
    count: int | None = None
    is_side: bool = False
    unchecked: str = ""


@dataclasses.dataclass(frozen=True)
class MarkedGraph:
    """Steps in the order they were applied, and what goes between them."""

    steps: tuple[MarkedStep, ...]
    edges: tuple[MarkedEdge, ...]


def marked_graph(record: RunRecord, all_steps: bool = False) -> MarkedGraph:
    """Returns the graph of a run.

    Args:
      record: the run.
      all_steps: whether steps within a composite of Beam's own are told apart.

    Raises:
      NoStepsYet: none are known.
    """
    record = folded_record(record, all_steps)
    end = record.last_known
    stages = {stage["label"]: stage for stage in end.get("stages") or ()}
    steps = end.get("steps") or [{"label": label, "is_stage": True} for label in stages]
    if end.get("counts_from") is None:  # zeros, which nobody counted
        stages = {}
    if not steps:
        raise NoStepsYet(record.id, record.status)
    refused: Counter[str] = Counter()
    kinds = (end.get("dead_letters") or {}).get("by_fingerprint") or ()
    for kind in kinds:
        refused[kind["stage"]] += kind["count"]
    opaque = (end.get("lineage") or {}).get("opaque") or {}
    failed = _WHILE_RUNNING.findall(str((end.get("error") or {}).get("message") or ""))[-1:]
    balance = end.get("balance") or {}
    sinks = (end.get("lineage") or {}).get("sinks") or ()
    unchecked = {step["step"]: step["reason"] for step in balance.get("unchecked_steps") or ()}
    marked = []
    for step in steps:
        label = step["label"]
        stage = stages.get(label) or {}
        marked.append(
            MarkedStep(
                label,
                bool(step.get("is_stage")),
                stage.get("in", step.get("in")),
                stage.get("out", step.get("out")),
                max(stage.get("dead") or 0, refused[label]),
                stage.get("filtered") or 0,
                stage.get("dropped") or step.get("dropped") or 0,
                unchecked.get(label, ""),
                {part: reason for part, reason in opaque.items() if _overlap(part, label)},
                any(is_within(part, label) for part in failed),
                tuple(_parts(label, failed, kinds)),
                tuple(_places(label, end.get("inputs") or record.start.get("inputs") or ())),
                tuple(_places(label, end.get("outputs") or sinks)),
                stage.get("p50_us"),
                stage.get("p99_us"),
            )
        )
    return MarkedGraph(tuple(marked), tuple(_edges(end, {step["label"] for step in steps})))


def _places(label: str, datasets: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yields where the datasets are that a step, or a part of it, reads or writes."""
    for dataset in datasets:
        place = dataset.get("uri") or dataset.get("name")
        if place and is_within(dataset["label"], label):
            yield place


def _parts(label: str, failed: Sequence[str], kinds: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yields which parts of a step failed, and which refused how many records."""
    refused: Counter[str] = Counter()
    for kind in kinds:
        if kind["stage"] == label and kind.get(WITHIN):
            refused[kind[WITHIN]] += kind["count"]
    for part, count in refused.items():
        yield f"{count:,} refused in {part}"
    for part in failed:
        if is_within(part, label) and part != label:
            yield f"the run failed in {part[len(label) + 1 :]}"


def _edges(end: Mapping[str, Any], labels: set[str]) -> Iterator[MarkedEdge]:
    """Yields the edges; of a run that did not note them, those that follow from its steps."""
    edges = end.get("edges")
    unchecked = {
        (edge["from"], edge["to"]): edge["reason"]
        for edge in (end.get("balance") or {}).get("unchecked_edges") or ()
    }
    if edges is not None:
        for edge in edges:
            ends = edge["from"], edge["to"]
            if edge["from"] != edge["to"] and {*ends} <= labels:
                is_side = bool(edge.get("side"))
                yield MarkedEdge(*ends, edge.get("count"), is_side, unchecked.get(ends, ""))
        return
    for step in end.get("steps") or ():
        sources = [source for source in step.get("after") or () if source in labels]
        # What a step took came from the only step it takes from; of several, none knows its share.
        count = step.get("in") if len(sources) == 1 else None
        yield from (MarkedEdge(source, step["label"], count) for source in sources)


def _overlap(part: str, label: str) -> bool:
    return is_within(part, label) or is_within(label, part)
