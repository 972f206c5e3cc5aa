"""The ledger of a run that lives: windows that are over, held against themselves by what is committed so far.

A step that groups by window gives a window when the watermark has passed it: then all that comes before that
step has processed what is in it. A difference is told when both ends of an edge have committed nothing of the
window for a while in which others were committed. Behind the last step that groups nobody knows when all has
come: there windows are told that are the same at both ends, and a difference when the run ends.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from beam_obs.records.ledger_rows import PointSums
from beam_obs.records.origin_sums import Total
from beam_obs.records.weave_report import LedgerEdge, WeaveReport
from beam_obs.records.window_counts import WindowCounts
from beam_obs.records.window_sums import Window
from beam_obs.runs.ledger import (
    VERSION,
    WINDOWS_NOT_TOLD,
    EdgeFound,
    Ledger,
    ends_of,
    known_by_window,
)
from beam_obs.runs.ledger_windows import WindowFound, window_found

SETTLED_SECONDS = 30.0
"""So long a difference has to be the same: rows are gathered for ten seconds before they are written, twice;
then others were committed that came later."""
KEPT_WINDOWS = 1_000
"""Windows that are looked at; what is known of earlier ones stays."""
AT_THE_END = "not before the run has ended"
NOTHING_OVER = "no window that it has is known to be over yet"


class CommittedSums(NamedTuple):
    """What committed rows of the ledger come to so far.

    Args:
      sums: what passed each point.
      commits: how many manifests have told it.
    """

    sums: PointSums
    commits: int


class _Seen(NamedTuple):
    """A difference, and since when it is the same."""

    difference: Total
    late: int
    since: float
    commits: int


class LiveLedger:
    """What is known of the windows of a run that lives.

    Args:
      now: gives the time, in seconds, by a clock that is never put back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._seen: dict[tuple[int, Window], _Seen] = {}
        self._found: dict[int, dict[Window, WindowFound]] = {}

    def told(
        self,
        woven: WeaveReport | None,
        committed: CommittedSums | None,
        windows: Mapping[str, Mapping[str, WindowCounts]],
        step_of: Callable[[str], str],
    ) -> dict[str, Any] | None:
        """Returns the ledger as ``live.json`` has it; None where there are no windows.

        Args:
          woven: what the weave did.
          committed: what was committed so far; None where nobody looked, or something is damaged.
          windows: by step and window, what steps took and gave some of which may come too late.
          step_of: gives the step of the report that a step is or is in, by their labels.
        """
        if woven is None or committed is None or not any(step.over for step in woven.ledger_steps):
            return None
        over = _over(woven, committed.sums)
        edges = []
        for at, edge in enumerate(woven.ledger_edges):
            late = (windows if edge.may_drop else {}).get(edge.consumer, {})
            edges.append(self._edge(at, edge, committed, late, over, step_of))
        ledger = Ledger(tuple(found for found, _ in edges))
        return {
            "version": VERSION,
            "holds": ledger.holds,
            "unchecked": "",
            "edges": [found.to_json() | (told if not found.obstacle else {}) for found, told in edges],
            "steps": [],
        }

    def _edge(
        self,
        at: int,
        edge: LedgerEdge,
        committed: CommittedSums,
        late: Mapping[str, WindowCounts],
        over: Mapping[str, int],
        step_of: Callable[[str], str],
    ) -> tuple[EdgeFound, dict[str, Any]]:
        found = ends_of(edge, step_of)
        if edge.obstacle or not edge.by_window:
            reason = edge.obstacle or f"{AT_THE_END}: {edge.whole}"
            return dataclasses.replace(found, obstacle=reason), {}
        given, taken, unknown = known_by_window(edge, committed.sums)
        if any(map(any, unknown)):
            return dataclasses.replace(found, obstacle=f"{AT_THE_END}: {WINDOWS_NOT_TOLD}"), {}
        counts = (dict(given.items()), dict(taken.items()))
        known = self._found.setdefault(at, {})
        given.merge(taken, -1)
        judged: list[Window] = []
        number_open = 0
        for window, difference in list(given.items())[-KEPT_WINDOWS:]:
            is_over = edge.consumer in over and window.end + edge.lateness_micros <= over[edge.consumer]
            told = late.get(window.text, WindowCounts())
            dropped = told.taken - told.given
            one = window_found(window, difference, dropped if is_over else 0)
            if one is None:
                self._seen.pop((at, window), None)
                known.pop(window, None)
            elif not is_over or not self._is_settled((at, window), difference, dropped, committed.commits):
                number_open += 1
                continue
            else:
                known[window] = one
            judged.append(window)
        if not judged and not known:
            return dataclasses.replace(found, obstacle=NOTHING_OVER), {}
        of_judged = [sum(side[window].signed for window in judged if window in side) for side in counts]
        broken = tuple(known[window] for window in sorted(known))
        found = dataclasses.replace(
            found,
            given=of_judged[0],
            taken=of_judged[1],
            late=max(0, of_judged[0] - of_judged[1] - sum(one.lost - one.added for one in broken)),
            lost=sum(one.lost for one in broken),
            added=sum(one.added for one in broken),
            is_exact=all(one.alone is not None for one in broken),
            windows=broken,
            by_window=True,
        )
        until = max((window.end for window in judged), default=None)
        return found, {"until": None if until is None else until / 1e6, "open": number_open}

    def _is_settled(self, key: tuple[int, Window], difference: Total, late: int, commits: int) -> bool:
        """Returns whether a difference has been the same for long enough, while others were committed."""
        before = self._seen.get(key)
        if before is None or (before.difference, before.late) != (difference, late):
            self._seen[key] = _Seen(difference, late, self._now(), commits)
            return False
        return self._now() - before.since >= SETTLED_SECONDS and commits > before.commits


def _over(woven: WeaveReport, sums: PointSums) -> dict[str, int]:
    """Returns until when all is known to have been processed in a step and before it, by its label: until the
    end of the last window that was given by a step which groups, of those that it comes to."""
    ends = {
        step.label: max((window.end for window, _ in sums.by_window_of(step.over).items()), default=None)
        for step in woven.ledger_steps
        if step.over
    }
    found = {label: end for label, end in ends.items() if end is not None}
    todo = list(found)
    while todo:
        label = todo.pop()
        for edge in woven.ledger_edges:
            if edge.consumer == label:
                for producer in edge.producers:
                    if producer not in found or found[producer] < found[label]:
                        found[producer] = found[label]
                        todo.append(producer)
    return found
