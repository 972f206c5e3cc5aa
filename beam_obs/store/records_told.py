"""How many records a run took in all, and refused, as its counts tell, while it runs and at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def records_told(counts: Mapping[str, Any]) -> dict[str, int]:
    """Returns how many records came in, and how many were refused.

    What came in is what the first steps that are counted took or, where they take from none, gave.

    Args:
      counts: ``steps`` and ``stages``, as ``end.json`` and ``live.json`` have them.

    >>> step = {"label": "read", "in": None, "out": 7, "after": []}
    >>> records_told({"steps": [step, {"label": "log", "in": 7, "out": 0, "after": ["read"]}], "stages": []})
    {'in': 7, 'dead': 0}
    """
    stages = {stage["label"]: stage for stage in counts.get("stages") or ()}
    steps = counts.get("steps") or [{**stage, "after": []} for stage in stages.values()]
    return {
        "in": sum(_first_counts(steps, stages)),
        "dead": sum(stage["dead"] for stage in stages.values()),
    }


def _first_counts(
    steps: Sequence[Mapping[str, Any]], stages: Mapping[str, Mapping[str, Any]]
) -> Iterator[int]:
    """Yields the counts of the steps that are counted while no step before them is; steps are in order."""
    behind: set[str] = set()
    for step in steps:
        label = step["label"]
        count = stages[label]["in"] if label in stages else step.get("in")
        count = step.get("out") if count is None else count
        is_behind = not behind.isdisjoint(step.get("after") or ())
        if is_behind or count is not None:
            behind.add(label)
        if not is_behind and count is not None:
            yield count
