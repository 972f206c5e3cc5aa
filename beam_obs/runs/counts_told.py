"""The counts of a run as ``end.json`` tells them when it has ended, and ``live.json`` before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_obs.metrics import names
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.runs.graph import Composite, Graph, Step


def counts_told(
    kinds: Mapping[str, str],
    graph: Graph | None,
    snapshot: Snapshot,
    elements: Mapping[str, int] | None,
    dropped: Mapping[str, int],
    late: Mapping[str, int],
) -> dict[str, Any]:
    """Returns ``counts_from``, ``stages``, ``steps``, ``edges`` and ``composites``.

    Args:
      kinds: label of each stage -> the Beam transform inside.
      graph: the graph of the pipeline; None where it cannot be told.
      snapshot: the numbers.
      elements: Beam's own count of elements by the graph's ids of PCollections; None where there is none.
      dropped: label of a step -> how many elements came too late for their window.
      late: label of a step -> how many came late, and were taken all the same.
    """
    counted = bool(snapshot.stages or snapshot.elements)
    return {
        "counts_from": ("live" if snapshot.live else "result") if counted else None,
        "stages": [
            _stage(label, kind, snapshot.stages.get(label, StageCounts()))
            | {"dropped": dropped.get(label, 0), "late": late.get(label, 0)}
            for label, kind in kinds.items()
        ],
        "steps": [
            _step(step, elements) | {"dropped": dropped.get(step.label, 0), "late": late.get(step.label, 0)}
            for step in (graph.steps if graph is not None else ())
        ],
        "edges": _edges(graph, elements) if graph is not None else [],
        "composites": [_composite(one, elements) for one in (graph.composites if graph is not None else ())],
    }


def _stage(label: str, kind: str, counts: StageCounts) -> dict[str, Any]:
    bounds = (*(str(bound) for bound in names.LATENCY_BOUNDS_US), "inf")
    return {
        "label": label,
        "kind": kind,
        "in": counts.in_,
        "out": counts.out,
        "dead": counts.dead,
        "filtered": counts.filtered,
        "internal_errors": counts.internal_errors,
        "broken": counts.broken,
        "p50_us": counts.latency.quantile_us(0.5),
        "p99_us": counts.latency.quantile_us(0.99),
        "latency_us_le": dict(zip(bounds, counts.latency.cumulative, strict=True)),
    }


def _step(step: Step, elements: Any) -> dict[str, Any]:
    return {
        "label": step.label,
        "is_stage": step.is_stage,
        "in": _count(step.inputs, elements),
        "out": _count(tuple(step.outputs.values()), elements),
        "keeps_state": bool(step.keeps_state),
        "after": list(step.after),
    }


def _composite(composite: Composite, elements: Any) -> dict[str, Any]:
    """Returns what is kept of steps that are one row; what a write gives are no records, but files maybe."""
    row = composite.row
    given = _count(composite.outputs, elements)
    told = {"label": composite.label, "in": _count(composite.inputs, elements), "writes": row.is_write}
    if not row.is_write:
        return told | {"out": given}
    failed = 0 if composite.failed is None else _count((composite.failed,), elements)
    return told | {
        "failed": failed if row.is_counted else None,
        "files": given if row.gives_files else None,
    }


def _count(ids: tuple[str, ...], elements: Any) -> int | None:
    known = [elements[id_] for id_ in ids if elements is not None and id_ in elements]
    return sum(known) if known and len(known) == len(ids) else None


def _edges(graph: Graph, elements: Any) -> list[dict[str, Any]]:
    """Returns who takes from whom, and how many elements; how often a side input is read nobody knows."""
    counts: dict[tuple[str, str], int | None] = {}
    for edge in graph.edges:
        count = elements.get(edge.id) if elements is not None else None
        for consumer in edge.consumers:
            before = counts.get((edge.producer, consumer), 0)
            counts[edge.producer, consumer] = None if before is None or count is None else before + count
    return [
        {
            "from": producer,
            "to": step.label,
            "count": counts.get((producer, step.label)),
            "side": (producer, step.label) not in counts,
        }
        for step in graph.steps
        for producer in step.after
    ]
