"""The ledger of a run: what one step put out is what the next took in, by count and by the sums of origins.

Counts alone do not show a record that was lost where another came twice, or one in the place of another; sums
of origins do, and name the records where they are few. What the ledger has comes by committed manifests, so
that a bundle which was tried again, or a job that an engine started again, counts once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from beam_obs.records.ledger_rows import PointSums
from beam_obs.records.origin_sums import Odd, OriginSums
from beam_obs.records.weave_report import LedgerEdge, LedgerStep, WeaveReport
from beam_obs.records.window_counts import WindowCounts
from beam_obs.wrapper.refusal import DEAD_TAG

VERSION = 1
MOST_EXAMPLES = 20
"""Records that are named of an edge where something is lost or too many."""

NOT_ENDED = "the run ended before all of it was committed"
NOT_COMMITTED = "none of its rows was committed"
COMMITS_LOST = "rows of it could not be written"
NO_LEDGER = "the run has no lineage"


@dataclasses.dataclass(frozen=True)
class EdgeFound:
    """What was found of an edge.

    Args:
      producers: labels of the steps of the report that give it.
      consumer: of that which takes it.
      given: how many they gave.
      taken: how many it took.
      lost: of what was given, how many it did not take; at least, unless `is_exact`.
      added: of what it took, how many were not given, or more often than they were; likewise.
      is_exact: whether lost and added are all there are.
      examples: of both, as far as they can be told.
      obstacle: why the two were not held against each other, or empty.
      late: of what was given, how many were dropped since they came too late for their window.
    """

    producers: tuple[str, ...]
    consumer: str
    given: int = 0
    taken: int = 0
    lost: int = 0
    added: int = 0
    is_exact: bool = True
    examples: tuple[Odd, ...] = ()
    obstacle: str = ""
    late: int = 0

    @property
    def holds(self) -> bool:
        """Whether what was given is what was taken; True of what was not looked at."""
        return not (self.lost or self.added)

    @property
    def where(self) -> str:
        """Both ends of the edge.

        >>> EdgeFound(("read", "more"), "parse").where
        'read + more -> parse'
        """
        return f"{' + '.join(self.producers)} -> {self.consumer}"

    @property
    def text(self) -> str:
        """The edge in one line.

        >>> EdgeFound(("read",), "parse", 10, 10, 1, 1).text
        'read -> parse: out of read 10, into parse 10 (1 lost, 1 too many)'
        """
        least = "" if self.is_exact else "at least "
        parts = [f"{self.lost:,} lost"] * bool(self.lost) + [f"{self.added:,} too many"] * bool(self.added)
        amount = "" if self.holds else f" ({least}{', '.join(parts)})"
        late = f", dropped as late {self.late:,}" if self.late else ""
        return f"{self.where}: {self.left[0]} {self.given:,}, {self.right[0]} {self.taken:,}{late}{amount}"

    @property
    def left(self) -> tuple[str, int]:
        """What was given, and how much."""
        return (f"out of {' + '.join(self.producers)}", self.given)

    @property
    def right(self) -> tuple[str, int]:
        """What was taken, and how much."""
        return (f"into {self.consumer}", self.taken)

    def to_json(self) -> dict[str, Any]:
        """Returns the edge as kept in ``end.json``."""
        told: dict[str, Any] = {"from": list(self.producers), "to": self.consumer}
        if self.obstacle:
            return {**told, "reason": self.obstacle}
        told |= {"given": self.given, "taken": self.taken} | ({"late": self.late} if self.late else {})
        if self.holds:
            return told
        return {
            **told,
            "lost": self.lost,
            "added": self.added,
            "is_exact": self.is_exact,
            "examples": [{"origin": odd.origin.hex(), "times": odd.times} for odd in self.examples],
            "text": self.text,
        }


@dataclasses.dataclass(frozen=True)
class StepFound:
    """What was found of a step.

    Args:
      label: its full label, without what the weave put in.
      role: ``source``, ``sink`` or empty.
      taken: elements that came in; None where nobody counted them.
      filtered: of which nothing came.
      refused: of them; of a source, what it could not read.
      given: outputs by tag, without what was refused.
    """

    label: str
    role: str
    taken: int | None
    filtered: int
    refused: int
    given: dict[str, int]

    @property
    def passed_on(self) -> int | None:
        """Elements of which something came."""
        return None if self.taken is None else self.taken - self.filtered - self.refused

    def to_json(self) -> dict[str, Any]:
        """Returns the step as kept in ``end.json``."""
        return {
            "label": self.label,
            "role": self.role,
            "in": self.taken,
            "passed_on": self.passed_on,
            "filtered": self.filtered,
            "dead": self.refused,
            "out": self.given,
        }


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The ledger of a run.

    Args:
      edges: what was held against each other, and what was not.
      steps: what the steps counted.
      unchecked: why nothing was, or empty.
    """

    edges: tuple[EdgeFound, ...] = ()
    steps: tuple[StepFound, ...] = ()
    unchecked: str = ""

    @property
    def checked(self) -> tuple[EdgeFound, ...]:
        """The edges whose two ends were held against each other."""
        return tuple(edge for edge in self.edges if not edge.obstacle)

    @property
    def broken(self) -> tuple[EdgeFound, ...]:
        """Those that do not hold."""
        return tuple(edge for edge in self.edges if not edge.holds)

    @property
    def holds(self) -> bool | None:
        """Whether all that was checked holds; None where nothing was."""
        return not self.broken if self.checked else None

    def checks(self, producer: str, consumer: str) -> bool:
        """Returns whether all that goes from one step of the report to another was checked."""
        between = [edge for edge in self.edges if edge.consumer == consumer and producer in edge.producers]
        return bool(between) and not any(edge.obstacle for edge in between)

    def to_json(self) -> dict[str, Any]:
        """Returns the ledger as kept in ``end.json``."""
        return {
            "version": VERSION,
            "holds": self.holds,
            "unchecked": self.unchecked,
            "edges": [edge.to_json() for edge in self.edges],
            "steps": [step.to_json() for step in self.steps],
        }


def ledger_of(
    woven: WeaveReport | None,
    sums: PointSums,
    step_of: Callable[[str], str],
    has_counts: bool,
    has_ended_well: bool = True,
    commits_lost: int = 0,
    windows: Mapping[str, Mapping[str, WindowCounts]] | None = None,
) -> Ledger:
    """Returns the ledger of a run that has ended.

    Args:
      woven: what the weave did; None where there was none.
      sums: what passed each point, as committed manifests say.
      step_of: gives the step of the report that a step is or is in, by their labels.
      has_counts: whether the runner counted any element that a step gave.
      has_ended_well: whether the job ran to its end.
      commits_lost: files of manifests that could not be written.
      windows: by step and window, what steps took and gave some of which may come too late.
    """
    if woven is None or not woven.ledger_edges:
        return Ledger(unchecked=NO_LEDGER)
    if not has_ended_well:
        return Ledger(unchecked=NOT_ENDED)
    if commits_lost:
        return Ledger(unchecked=COMMITS_LOST)
    if has_counts and not sums.by_point:
        return Ledger(unchecked=NOT_COMMITTED)
    return Ledger(
        tuple(_edge(edge, sums, step_of, windows or {}) for edge in woven.ledger_edges),
        tuple(_step(step, sums) for step in woven.ledger_steps),
    )


def _edge(
    edge: LedgerEdge,
    sums: PointSums,
    step_of: Callable[[str], str],
    windows: Mapping[str, Mapping[str, WindowCounts]],
) -> EdgeFound:
    producers, consumer = _ends(edge, step_of)
    if edge.obstacle:
        return EdgeFound(producers, consumer, obstacle=edge.obstacle)
    given, taken = sums.of(edge.given), sums.of(edge.taken)
    difference = sums.of(edge.given)
    difference.subtract(taken)
    if difference.is_zero:
        return EdgeFound(producers, consumer, given.count, taken.count)
    odd = list(difference.odd())
    lost, added = (sum(abs(one.times) for one in odd if one.times * sign > 0) for sign in (1, -1))
    is_exact = _is_all(difference, odd)
    late = 0
    if edge.may_drop:
        late = sum(counts.taken - counts.given for counts in windows.get(edge.consumer, {}).values())
        if difference.count == late and not added:
            return EdgeFound(producers, consumer, given.count, taken.count, late=late)
    if not is_exact:
        lost = max(lost, difference.count, int(difference.count >= 0))
        added = max(added, lost - difference.count)
        lost = max(lost, added + difference.count)
    # Which of those that are missing came too late is not known: any may be the one that is lost.
    return EdgeFound(
        producers,
        consumer,
        given.count,
        taken.count,
        max(0, lost - late),
        added,
        is_exact and not late,
        tuple(odd[:MOST_EXAMPLES]),
        late=late,
    )


def _ends(edge: LedgerEdge, step_of: Callable[[str], str]) -> tuple[tuple[str, ...], str]:
    """Returns the steps of the report at the ends of an edge, or of one within a step its own."""
    producers = tuple(dict.fromkeys(map(step_of, edge.producers)))
    consumer = step_of(edge.consumer)
    return (edge.producers, edge.consumer) if producers == (consumer,) else (producers, consumer)


def _is_all(difference: OriginSums, odd: Iterable[Odd]) -> bool:
    """Returns whether a difference is nothing but some origins."""
    rest = OriginSums()
    rest.merge(difference)
    for one in odd:
        alone = OriginSums()
        alone.add([one.origin])
        rest.merge(alone, -one.times)
    return rest.is_zero


def _step(step: LedgerStep, sums: PointSums) -> StepFound:
    given = {tag: sums.of(terms).count for tag, terms in step.given.items()}
    refused = given.pop(DEAD_TAG, 0)
    return StepFound(
        step.label,
        step.role,
        sums.of(step.taken).count if step.taken else None,
        sums.of(step.filtered).count,
        sums.of(step.refused).count if step.taken else refused,
        given,
    )
