"""The counts of a run as ``end.json`` tells them when it has ended, and ``live.json`` before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from beam_obs.metrics import names
from beam_obs.metrics.run_snapshot import EventLag, Snapshot, StageCounts
from beam_obs.records.open_windows import longest_window, oldest_waiting
from beam_obs.records.weave_report import Gathering
from beam_obs.records.window_counts import WindowCounts
from beam_obs.runs.balance import Balance, step_around
from beam_obs.runs.graph import Composite, Graph, Step


class WindowedStep(NamedTuple):
    """What is known of the windows of a step.

    Args:
      dropped: how many elements came too late for theirs.
      late: how many came late, and were taken all the same.
      lag: how old they were.
    """

    dropped: int = 0
    late: int = 0
    lag: EventLag | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of a step."""
        lag = {} if self.lag is None else {"event_lag_seconds": self.lag._asdict()}
        return {"dropped": self.dropped, "late": self.late, **lag}


_NO_WINDOWS = WindowedStep()


def windowed_steps(
    graph: Graph | None, snapshot: Snapshot, gatherings: Iterable[Gathering], balanced: Balance | None = None
) -> dict[str, WindowedStep]:
    """Returns what is known of the windows of steps, by label.

    Args:
      graph: of the pipeline; None where it cannot be told.
      snapshot: the numbers.
      gatherings: the steps that count by window.
      balanced: of a run that has ended: what its committed manifests say.
    """
    labels = [step.label for step in graph.steps] if graph is not None else []
    found: dict[str, WindowedStep] = {}
    for gathering in gatherings:
        label = step_around(gathering.label, labels)
        before = found.get(label, WindowedStep())
        late, lag = before.late, before.lag
        for name in gathering.counted_by:
            late += 0 if gathering.obstacle else snapshot.late.get(name, 0)
            lag = snapshot.lags[name].plus(lag) if name in snapshot.lags else lag
        found[label] = WindowedStep(0, late, lag)
    if balanced is not None:
        late_of = {one.step: one.count for one in balanced.late}
        found = {label: step._replace(late=late_of.get(label, 0)) for label, step in found.items()}
        for dropped in balanced.dropped:
            of_step = found.get(dropped.step, WindowedStep())
            found[dropped.step] = of_step._replace(dropped=dropped.count)
    return found


def waiting_told(
    graph: Graph | None,
    gatherings: Iterable[Gathering],
    windows: Mapping[str, Mapping[str, WindowCounts]],
    is_over: bool = False,
) -> list[dict[str, Any]]:
    """Returns ``waiting``: the oldest event time of what steps took and have not yet given, in open windows,
    and how long their windows are.

    Args:
      graph: of the pipeline; None where it cannot be told.
      gatherings: the steps that count by window.
      windows: what committed manifests say of them.
      is_over: whether the run has ended well, so that nothing waits.
    """
    labels = [step.label for step in graph.steps] if graph is not None else []
    return [
        {
            "step": step_around(gathering.label, labels),
            "oldest": None if is_over else oldest_waiting(windows[gathering.label]),
            "window_seconds": longest_window(windows[gathering.label]),
        }
        for gathering in gatherings
        if gathering.may_drop and gathering.gives_at_end and gathering.label in windows
    ]


def counts_told(
    kinds: Mapping[str, str],
    graph: Graph | None,
    snapshot: Snapshot,
    elements: Mapping[str, int] | None,
    windowed: Mapping[str, WindowedStep],
) -> dict[str, Any]:
    """Returns ``counts_from``, ``stages``, ``steps``, ``edges``, ``composites`` and ``telemetry``.

    Args:
      kinds: label of each stage -> the Beam transform inside.
      graph: the graph of the pipeline; None where it cannot be told.
      snapshot: the numbers.
      elements: Beam's own count of elements by the graph's ids of PCollections; None where there is none.
      windowed: label of a step -> what is known of its windows.
    """
    counted = bool(snapshot.stages or snapshot.elements)
    return {
        "counts_from": ("live" if snapshot.live else "result") if counted else None,
        "stages": [
            _stage(label, kind, snapshot.stages.get(label, StageCounts()))
            | windowed.get(label, _NO_WINDOWS).to_json()
            for label, kind in kinds.items()
        ],
        "steps": [
            _step(step, elements) | windowed.get(step.label, _NO_WINDOWS).to_json()
            for step in (graph.steps if graph is not None else ())
        ],
        "edges": _edges(graph, elements) if graph is not None else [],
        "composites": [_composite(one, elements) for one in (graph.composites if graph is not None else ())],
        "telemetry": _telemetry(snapshot.telemetry),
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
        "retried": counts.retried,
        "p50_us": counts.latency.quantile_us(0.5),
        "p99_us": counts.latency.quantile_us(0.99),
        "latency_us_le": dict(zip(bounds, counts.latency.cumulative, strict=True)),
    }


def _telemetry(counts: Mapping[str, int]) -> dict[str, int] | None:
    """Returns what was lost of traces and logs; None where nothing was."""
    told = {name: counts.get(name, 0) for name in sorted(names.OF_TELEMETRY)}
    return told if any(told.values()) else None


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
