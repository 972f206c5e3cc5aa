"""The oldest event time of what waits in the windows of a step, by what committed manifests say of them.

A step that gives its groups when the watermark passes the end of their window has taken what is in windows
that are open, and not yet given it. How far the watermark is, the last window tells of which it gave any:
what is missing of that and of those before it is not open any more, but was dropped as too late.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from beam_obs.records.window_counts import WindowCounts

_BOUNDS = re.compile(r"\[(-?[\d.]+), (-?[\d.]+)\)")


def oldest_waiting(windows: Mapping[str, WindowCounts]) -> float | None:
    """Returns the start of the earliest open window that has elements, in seconds since 1970; None where none
    has. No element of it is older.

    Args:
      windows: of the step, by window.

    >>> taken, given = WindowCounts(2), WindowCounts(2, 2)
    >>> oldest_waiting({"[0.0, 10.0)": given, "[10.0, 20.0)": taken, "[20.0, 30.0)": taken})
    10.0
    >>> oldest_waiting({"[0.0, 10.0)": WindowCounts(3, 2)}) is None
    True
    """
    bounds = _bounds(windows)
    closed = max((end for window, (_, end) in bounds.items() if windows[window].given), default=float("-inf"))
    return min(
        (
            start
            for window, (start, end) in bounds.items()
            if end > closed and windows[window].taken > windows[window].given
        ),
        default=None,
    )


def without_whole(windows: Mapping[str, WindowCounts], most: int) -> dict[str, WindowCounts]:
    """Returns windows without those of which all was given, but for the latest of these.

    Args:
      windows: of a step, by window.
      most: how many that are whole are kept.

    >>> whole, missing = WindowCounts(2, 2), WindowCounts(3, 2)
    >>> list(without_whole({"[0, 5)": whole, "[5, 9)": missing, "[9, 12)": whole}, 1))
    ['[5, 9)', '[9, 12)']
    """
    ends = {
        window: end
        for window, (_, end) in _bounds(windows).items()
        if windows[window].taken == windows[window].given
    }
    over = set(sorted(ends, key=lambda window: ends[window])[: max(0, len(ends) - most)])
    return {window: counts for window, counts in windows.items() if window not in over}


def longest_window(windows: Iterable[str]) -> float | None:
    """Returns how many seconds the longest window lasts: as old the oldest of what waits gets where all is
    well; None where there is none with a beginning and an end.

    >>> longest_window(["[0.0, 10.0)", "[5.0, 30.0)", "other"]), longest_window(["other"])
    (25.0, None)
    """
    return max((end - start for start, end in _bounds(windows).values()), default=None)


def _bounds(windows: Iterable[str]) -> dict[str, tuple[float, float]]:
    return {
        window: (float(found[1]), float(found[2]))
        for window in windows
        if (found := _BOUNDS.fullmatch(window)) is not None
    }
