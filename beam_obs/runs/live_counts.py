"""The counts of a run that has not ended, as ``live.json`` tells them, and how they grew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_obs.metrics.run_snapshot import Snapshot
from beam_obs.records.weave_report import WeaveReport
from beam_obs.runs.balance import step_around
from beam_obs.runs.committed_so_far import Committed
from beam_obs.runs.counts_told import counts_told, waiting_told, windowed_steps
from beam_obs.runs.graph import Graph
from beam_obs.runs.instruments_told import instruments_told
from beam_obs.runs.live_ledger import LiveLedger
from beam_obs.store.records_told import records_told
from beam_obs.store.run_record import now_text, seconds_between

MOST_POINTS = 200
"""Of the history: beyond them every second one is left out."""


class LiveCounts:
    """The counts of one run while it lives.

    Args:
      kinds: label of each stage -> the Beam transform inside.
      started: when the run began, as ``start.json`` has it.
    """

    def __init__(self, kinds: Mapping[str, str], started: str) -> None:
        self._kinds = kinds
        self._started = started
        self._points: list[dict[str, Any]] = []
        self._ledger = LiveLedger()
        self._looks = 0
        self._apart = 1

    def told(
        self,
        graph: Graph | None,
        snapshot: Snapshot | None,
        elements: Mapping[str, int] | None,
        committed: Committed | None = None,
        woven: WeaveReport | None = None,
    ) -> dict[str, Any]:
        """Returns the content of ``live.json``, and keeps a point of the history.

        Args:
          graph: the graph of the pipeline; None where it cannot be told.
          snapshot: the numbers so far; None where nobody has any.
          elements: Beam's own count of elements by the graph's ids; None where there is none.
          committed: what bundles have left in the store so far; None where nobody looked.
          woven: what the weave did, where there was one.
        """
        at = now_text()
        snapshot, committed = snapshot or Snapshot(), committed or Committed()
        gatherings = woven.gatherings if woven is not None else []
        windowed = windowed_steps(graph, snapshot, gatherings)
        counts = counts_told(self._kinds, graph, snapshot, elements, windowed)
        point = {"seconds": round(seconds_between(self._started, at), 1), **records_told(counts)}
        history = [*self._points, point] if counts["counts_from"] else []
        if history:
            self._keep(point)
        instruments = instruments_told(snapshot, committed.families, committed.problems)
        waiting = waiting_told(graph, gatherings, committed.windows)
        labels = [step.label for step in graph.steps] if graph is not None else []
        ledger = self._ledger.told(
            woven,
            None if snapshot.commits_lost else committed.ledger,
            committed.windows,
            lambda label: step_around(label, labels),
        )
        told = {"at": at, **counts, "waiting": waiting, "instruments": instruments, "history": history}
        return told if ledger is None else {**told, "ledger": ledger}

    def _keep(self, point: dict[str, Any]) -> None:
        if self._looks % self._apart == 0:
            self._points.append(point)
        self._looks += 1
        if len(self._points) >= MOST_POINTS:
            del self._points[1::2]
            self._apart *= 2
