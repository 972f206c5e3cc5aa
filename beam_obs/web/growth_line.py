"""How the records of a run that runs came in, as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 160, 28
_LEAST_POINTS = 3


def growth_line(history: Sequence[Mapping[str, Any]]) -> str:
    """Returns the points of a line of records over time, as SVG has them; empty where there are too few.

    Args:
      history: of ``live.json``.

    >>> growth_line([{"seconds": 0.0, "in": 0}, {"seconds": 5.0, "in": 50}, {"seconds": 10.0, "in": 100}])
    '0.0,27.0 80.0,14.0 160.0,1.0'
    """
    if len(history) < _LEAST_POINTS:
        return ""
    first, last = history[0]["seconds"], history[-1]["seconds"]
    most = max(point["in"] for point in history)
    if last <= first or most <= 0:
        return ""
    return " ".join(
        f"{WIDTH * _within((point['seconds'] - first) / (last - first)):.1f},"
        f"{HEIGHT - 1 - (HEIGHT - 2) * _within(point['in'] / most):.1f}"
        for point in history
    )


def _within(share: float) -> float:
    return min(max(share, 0.0), 1.0)
