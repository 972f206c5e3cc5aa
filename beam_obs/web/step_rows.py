"""Steps of a run as rows of a table, each with the shares of what became of its records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from beam_obs.reports.marked_graph import MarkedGraph, MarkedStep
from beam_obs.reports.step_detail import stage_of_kind

BAR_WIDTH = 72
_LEAST_WIDTH = 2
"""So wide is at least what there is any of."""


class BarPart(NamedTuple):
    """A part of a bar.

    Args:
      name: what became of the records: ``passed``, ``filtered``, ``dropped`` or ``dead``.
      x: where it begins.
      width: how wide it is.
    """

    name: str
    x: float
    width: float


@dataclasses.dataclass(frozen=True)
class StepRow:
    """A step as a row.

    Args:
      step: the step.
      bar: what became of the records it took; empty where that is not known.
      refusing_stage: full label of the only stage in it that refused records; None where there are more.
    """

    step: MarkedStep
    bar: Sequence[BarPart]
    refusing_stage: str | None


def step_rows(graph: MarkedGraph, kinds: Iterable[Mapping[str, Any]]) -> list[StepRow]:
    """Returns the steps of a run as rows, in the order they were applied.

    Args:
      graph: of the run.
      kinds: of its refusals, as in ``end.json``, folded.
    """
    stages: dict[str, set[str]] = {}
    for kind in kinds:
        stages.setdefault(kind["stage"], set()).add(stage_of_kind(kind))
    rows = []
    for step in graph.steps:
        refusing = stages.get(step.label, {step.label})
        rows.append(StepRow(step, share_bar(step), min(refusing) if len(refusing) == 1 else None))
    return rows


def share_bar(step: MarkedStep) -> list[BarPart]:
    """Returns the bar of a step: what of the records that it took was passed on, and what was not.

    >>> share_bar(MarkedStep("parse", True, taken=100, given=75, dead=25))
    [BarPart(name='passed', x=0.0, width=54.0), BarPart(name='dead', x=54.0, width=18.0)]
    """
    if not step.is_stage or not step.taken:
        return []
    lost = {"filtered": step.filtered, "dropped": step.dropped, "dead": step.dead}
    widths = {
        name: max(_LEAST_WIDTH, round(BAR_WIDTH * count / step.taken, 1))
        for name, count in lost.items()
        if count
    }
    passed = max(0.0, BAR_WIDTH - sum(widths.values()))
    parts, x = [], 0.0
    for name, width in {"passed": passed, **widths}.items():
        if width and x < BAR_WIDTH:
            parts.append(BarPart(name, x, min(width, BAR_WIDTH - x)))
        x += width
    return parts
