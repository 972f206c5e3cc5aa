"""The balance of a run: whether every record is accounted for, and where not.

Three kinds of line, each two counts that were taken independently of each other:

- a stage: in = passed on + dead + filtered, where what was passed on is at most its outputs;
- an edge: what Beam counted on a PCollection = what each stage behind it took;
- an output: what a stage says it passed on, or refused, = what Beam counted on its PCollections, and what
  the committed manifests hold.

One element may give many outputs; that is no imbalance. What a runner does not count is not checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.metrics.snapshot import Snapshot, StageCounts
from beam_obs.runs.graph import Graph, Step


@dataclasses.dataclass(frozen=True)
class Line:
    """One check.

    Args:
      where: the stage, or ``producer -> consumer``.
      left: what is compared, e.g. ``parse in``, and its count.
      right: with what, and its count.
      holds: whether they agree.
    """

    where: str
    left: tuple[str, int]
    right: tuple[str, int]
    holds: bool

    @property
    def text(self) -> str:
        """The check in one line.

        >>> Line("read -> parse", ("out of read", 10), ("into parse", 9), False).text
        'read -> parse: out of read 10, into parse 9 (1 lost)'
        """
        missing = self.left[1] - self.right[1]
        difference = "" if self.holds else f" ({abs(missing):,} {'lost' if missing > 0 else 'too many'})"
        return f"{self.where}: {self.left[0]} {self.left[1]:,}, {self.right[0]} {self.right[1]:,}{difference}"


@dataclasses.dataclass(frozen=True)
class Balance:
    """All checks of a run.

    Args:
      lines: what was compared.
      unchecked: why nothing could be, or empty.
    """

    lines: tuple[Line, ...]
    unchecked: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether every check holds; None where nothing could be checked."""
        return all(line.holds for line in self.lines) if self.lines else None

    @property
    def broken(self) -> tuple[Line, ...]:
        """The checks that do not hold."""
        return tuple(line for line in self.lines if not line.holds)

    def to_json(self) -> dict[str, Any]:
        """Returns the balance as kept in ``end.json``."""
        return {
            "holds": self.holds,
            "checked": len(self.lines),
            "unchecked": self.unchecked,
            "broken": [
                {"where": line.where, "left": list(line.left), "right": list(line.right), "text": line.text}
                for line in self.broken
            ],
        }


def balance(graph: Graph | None, snapshot: Snapshot, kept: Mapping[str, int] | None = None) -> Balance:
    """Returns the balance of a run that has ended.

    Args:
      graph: the pipeline's graph, with the ids that the runner counted under; None where they are unknown.
      snapshot: the numbers of the run.
      kept: dead letters in the run's store by stage, for the stages that keep them there.
    """
    if not snapshot.stages and not snapshot.elements:
        return Balance((), "no counts: the runner gave none")
    if snapshot.live:
        return Balance((), "the run ended before its counts were committed")
    lines: list[Line] = []
    steps: dict[str, Step] = {step.label: step for step in graph.steps} if graph is not None else {}
    for label, counts in snapshot.stages.items():
        # Attempts may refuse a record more often than it was kept.
        lines.extend(_stage_lines(label, counts, None if snapshot.attempted else (kept or {}).get(label)))
        if label in steps and snapshot.elements is not None:
            lines.extend(_output_lines(steps[label], counts, snapshot.elements))
    if graph is not None:
        lines.extend(_edge_lines(graph, steps, snapshot))
    return Balance(tuple(lines), "" if lines else "no stage, and nothing else to compare with")


def _stage_lines(label: str, counts: StageCounts, kept: int | None) -> Iterator[Line]:
    refused = counts.dead - counts.leftovers
    passed_on = counts.in_ - refused - counts.filtered - counts.combined
    if passed_on < 0:
        accounted = ("dead + filtered", refused + counts.filtered)
        yield Line(label, ("in", counts.in_), accounted, False)
    else:
        accounted = (
            "passed on + dead + filtered" + (" + combined" if counts.combined else ""),
            min(passed_on, counts.out) + refused + counts.filtered + counts.combined,
        )
        yield Line(label, ("in", counts.in_), accounted, passed_on <= counts.out)
    if kept is not None:
        yield Line(label, ("dead", counts.dead), ("dead letters kept", kept), counts.dead == kept)


def _output_lines(step: Step, counts: StageCounts, elements: Mapping[str, int]) -> Iterator[Line]:
    found = [elements.get(id_) for id_ in step.outputs.values()]
    if step.all_outputs_known and found and None not in found:
        total = sum(count or 0 for count in found)
        yield Line(step.label, ("out", counts.out), ("counted by Beam", total), counts.out == total)
    dead = elements.get(step.dead) if step.dead is not None else None
    if dead is not None:
        yield Line(step.label, ("dead", counts.dead), ("counted by Beam", dead), counts.dead == dead)


def _edge_lines(graph: Graph, steps: Mapping[str, Step], snapshot: Snapshot) -> Iterator[Line]:
    elements = snapshot.elements or {}
    for edge in graph.edges:
        emitted = elements.get(edge.id)
        producer = snapshot.stages.get(edge.producer)
        step = steps[edge.producer]
        if emitted is None and producer is not None and step.all_outputs_known and len(step.outputs) == 1:
            emitted = producer.out
        for consumer in edge.consumers:
            taken = snapshot.stages.get(consumer)
            if emitted is None or taken is None or len(steps[consumer].inputs) != 1:
                continue
            yield Line(
                f"{edge.producer} -> {consumer}",
                (f"out of {edge.producer}", emitted),
                (f"into {consumer}", taken.in_),
                emitted == taken.in_,
            )
