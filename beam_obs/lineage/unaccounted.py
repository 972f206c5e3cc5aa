"""What the balance of a run leaves open about one record: steps that may hold it, lost it, or dropped it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beam_obs.lineage.answers import Into
from beam_obs.lineage.step_graph import StepGraph


class Unaccounted:
    """The steps of a run that do not account for all that they took.

    Args:
      end: ``end.json`` of the run; None before it has ended.
      graph: the steps of the run.
    """

    def __init__(self, end: Mapping[str, Any] | None, graph: StepGraph) -> None:
        balance = (end or {}).get("balance") or {}
        self._graph = graph
        self._holds = balance.get("holds")
        self._unchecked = {step["step"] for step in balance.get("unchecked_steps") or ()}
        self._says_what_it_checked = balance.get("edges") is not None
        self._dropped = {dropped["step"]: dropped for dropped in balance.get("dropped") or ()}
        losing = (graph.step_of(line["where"].rpartition(" -> ")[2]) for line in balance.get("broken") or ())
        self._losing = frozenset(step for step in losing if step is not None)

    def may_have(self, start: str | None, found: Into) -> tuple[str, ...]:
        """Returns the steps on the way of a record that may hold it or have lost it: from behind which
        nothing is known of it.

        Args:
          start: label of the step that gave it; None where it is not known.
          found: what is known of it.
        """
        graph = self._graph
        first = None if start is None else graph.step_of(start)
        way = tuple(graph.steps) if first is None else (first, *graph.behind(first))
        passed = {graph.step_of(label) for label in _places(found)}
        stopped = {graph.step_of(label) for label in _stops(found)}
        return tuple(
            step
            for step in way
            if self._is_open(step)
            and step not in passed
            and passed.isdisjoint(graph.behind(step))
            and not self._is_cut_off(first, step, stopped)
        )

    def why(self, steps: Iterable[str]) -> str:
        """Returns what is so of such steps, as a sentence."""
        told = [
            f"{step}, which {'lost records' if step in self._losing else 'keeps records in state'}"
            for step in steps
        ]
        return f"where it went behind {'; '.join(told)}, is not known"

    def late_at(self, windowed: Iterable[str], way: Iterable[str]) -> dict[str, str]:
        """Returns the steps that may have dropped a record as late, each with how many it dropped.

        Args:
          windowed: steps that make aggregates of windows.
          way: steps that the record may have come to.
        """
        steps = dict.fromkeys((*windowed, *self._dropped))
        return {step: self._late_text(step) for step in way if step in steps and self._may_drop(step)}

    def has_dropped(self, step: str) -> bool:
        """Returns whether a step is known to have dropped records as late."""
        return step in self._dropped

    def _is_open(self, step: str) -> bool:
        keeps = self._graph.steps[step].get("keeps_state")
        return step in self._losing or bool(keeps and not self._is_checked(step))

    def _may_drop(self, step: str) -> bool:
        return step in self._dropped or not self._is_checked(step)

    def _is_checked(self, step: str) -> bool:
        return self._holds is not None and self._says_what_it_checked and step not in self._unchecked

    def _is_cut_off(self, first: str | None, step: str, stopped: set[str | None]) -> bool:
        """Returns whether all ways to a step pass one that a record did not pass."""
        if first is None or not stopped:
            return False
        return any(
            part.is_certain and part.branches[0][0] in stopped for part in self._graph.between(first, step)
        )

    def _late_text(self, step: str) -> str:
        dropped = self._dropped.get(step)
        if dropped is None:
            return step
        windows = list(dropped.get("windows") or {})
        where = f" of window {windows[0]}" if len(windows) == 1 else ""
        return f"{step}, which dropped {dropped['count']:,}{where}"


def _places(found: Into) -> Iterator[str]:
    """Yields the steps where a record is known to have been, and what it is in."""
    yield from (written.sink for written in found.written)
    yield from (late.step for late in found.dropped)
    yield from _stops(found)
    for one in found.aggregates:
        yield one.step
        yield from _places(one)


def _stops(found: Into) -> Iterator[str]:
    yield from (letter.stage for letter in found.dead_letters)
    yield from found.filtered
    for one in found.aggregates:
        yield from _stops(one)
