"""The ledger of a run: what one step put out is what the next took in, by count and by the sums of origins.

Counts alone do not show a record that was lost where another came twice, or one in the place of another; sums
of origins do, and name the records where they are few. What the ledger has comes by committed manifests, so
that a bundle which was tried again, or a job that an engine started again, counts once.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from beam_obs.records.ledger_rows import PointSums
from beam_obs.records.number_text import amount_text, counted
from beam_obs.records.origin_sums import Odd, OriginSums, Total, negated, sum_of_totals
from beam_obs.records.weave_report import IN_NO_WINDOW, LedgerEdge, LedgerStep, WeaveReport
from beam_obs.records.window_counts import WindowCounts
from beam_obs.records.window_sums import WindowSums
from beam_obs.runs.ledger_windows import Example, WindowFound, examples_by_window, windows_found
from beam_obs.wrapper.refusal import DEAD_TAG

VERSION = 3
MOST_EXAMPLES = 20
"""Records that are named of an edge where something is lost or too many."""
MOST_WINDOWS = 100
"""Windows that are named of it."""

_MOST_IN_TEXT = 3

NOT_ENDED = "the run ended before all of it was committed"
NOT_COMMITTED = "none of its rows was committed"
COMMITS_LOST = "rows of it could not be written"
NO_LEDGER = "the run has no lineage"
WINDOWS_NOT_TOLD = "in which windows some of its records are is not known at one end"


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
      windows: those in which something is lost or too many, in order of time.
      by_window: whether each window was held against itself.
      whole: why that was not done, or empty; also where no edge of the run has windows.
      passed: labels of the steps of the report in between, which give each element once.
      within: the step of the report that it is in; empty where it is between two.
    """

    producers: tuple[str, ...]
    consumer: str
    given: int = 0
    taken: int = 0
    lost: int = 0
    added: int = 0
    is_exact: bool = True
    examples: tuple[Example, ...] = ()
    obstacle: str = ""
    late: int = 0
    windows: tuple[WindowFound, ...] = ()
    by_window: bool = False
    whole: str = ""
    passed: tuple[str, ...] = ()
    within: str = ""

    @property
    def holds(self) -> bool:
        """Whether what was given is what was taken; True of what was not looked at."""
        return not (self.lost or self.added)

    def unchecked(self, reason: str) -> EdgeFound:
        """Returns the edge as one whose ends could not be held against each other."""
        return dataclasses.replace(self, obstacle=reason, lost=0, added=0, examples=(), windows=())

    def leads(self, producer: str, consumer: str) -> bool:
        """Returns whether a step of the report comes before another on its way.

        >>> edge = EdgeFound(("read",), "parse", passed=("shuffle",))
        >>> edge.leads("read", "shuffle"), edge.leads("shuffle", "parse"), edge.leads("parse", "shuffle")
        (True, True, False)
        """
        return producer in (*self.producers, *self.passed) and consumer in (*self.passed, self.consumer)

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
        of_windows = "".join(f"; window {found.text}" for found in self.windows[:_MOST_IN_TEXT])
        more = len(self.windows) - _MOST_IN_TEXT
        of_windows += f" and {counted(more, 'window')} more" if more > 0 else ""
        amount = "" if self.holds else f" ({least}{amount_text(self.lost, self.added)}{of_windows})"
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
        told |= {"passed": list(self.passed)} if self.passed else {}
        told |= {"within": self.within} if self.within else {}
        if self.obstacle:
            return {**told, "reason": self.obstacle}
        told |= {"given": self.given, "taken": self.taken} | ({"late": self.late} if self.late else {})
        told |= {"by_window": True} if self.by_window else {}
        told |= {"whole": self.whole} if self.whole else {}
        if self.holds:
            return told
        return {
            **told,
            "lost": self.lost,
            "added": self.added,
            "is_exact": self.is_exact,
            "examples": [example.to_json() for example in self.examples],
            **({"windows": [window.to_json() for window in self.windows]} if self.windows else {}),
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
      within: the step of the report that it is a part of; empty where it is one itself.
    """

    label: str
    role: str
    taken: int | None
    filtered: int
    refused: int
    given: dict[str, int]
    within: str = ""

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
            **({"within": self.within} if self.within else {}),
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
        between = [edge for edge in self.edges if edge.leads(producer, consumer)]
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
    edges = [_edge(edge, sums, step_of, windows or {}) for edge in woven.ledger_edges]
    if all(edge.whole == IN_NO_WINDOW for edge in woven.ledger_edges):
        edges = [dataclasses.replace(edge, whole="") for edge in edges]
    return Ledger(
        tuple(edges),
        tuple(_step(step, sums, step_of) for step in woven.ledger_steps),
    )


def _edge(
    edge: LedgerEdge,
    sums: PointSums,
    step_of: Callable[[str], str],
    windows: Mapping[str, Mapping[str, WindowCounts]],
) -> EdgeFound:
    given, taken = sums.of(edge.given), sums.of(edge.taken)
    found = dataclasses.replace(ends_of(edge, step_of), given=given.count, taken=taken.count)
    if edge.obstacle:
        return dataclasses.replace(found, obstacle=edge.obstacle)
    given.subtract(taken)
    late = {
        window: counts.taken - counts.given
        for window, counts in (windows if edge.may_drop else {}).get(edge.consumer, {}).items()
    }
    found = _difference(found, given, sum(late.values()))
    return _by_window(found, edge, sums, late, given)


def _difference(found: EdgeFound, difference: OriginSums, late: int) -> EdgeFound:
    """Returns what is found of an edge, of what was given less what was taken."""
    if difference.is_zero:
        return found
    odd = list(difference.odd())
    lost, added = (sum(abs(one.times) for one in odd if one.times * sign > 0) for sign in (1, -1))
    is_exact = _is_all(difference, odd)
    found = dataclasses.replace(found, late=late)
    if late and difference.count == late and not added:
        return found
    if not is_exact:
        lost = max(lost, difference.count, int(difference.count >= 0))
        added = max(added, lost - difference.count)
        lost = max(lost, added + difference.count)
    # Which of those that are missing came too late is not known: any may be the one that is lost.
    return dataclasses.replace(
        found, lost=max(0, lost - late), added=added, is_exact=is_exact and not late, examples=_named(odd)
    )


def _by_window(
    found: EdgeFound, edge: LedgerEdge, sums: PointSums, late: Mapping[str, int], difference: OriginSums
) -> EdgeFound:
    """Returns what is found of an edge, with the windows that it is in."""
    if not edge.by_window:
        return dataclasses.replace(found, whole=edge.whole)
    given, taken, unknown = known_by_window(edge, sums)
    is_whole = not any(map(any, unknown))
    given.merge(taken, -1)
    # Where what is in no known window differs, what is missing in a window may be there.
    windows = windows_found(given, late)[:MOST_WINDOWS] if unknown[0] == unknown[1] else ()
    found = dataclasses.replace(found, by_window=is_whole, whole="" if is_whole else WINDOWS_NOT_TOLD)
    if not windows:
        return found
    if found.holds:
        lost, added = sum(one.lost for one in windows), sum(one.added for one in windows)
        found = dataclasses.replace(found, lost=lost, added=added, is_exact=False)
    examples = examples_by_window(difference.odd(), windows)[:MOST_EXAMPLES]
    return dataclasses.replace(found, windows=windows, examples=tuple(examples))


def known_by_window(edge: LedgerEdge, sums: PointSums) -> tuple[WindowSums, WindowSums, list[Total]]:
    """Returns what was given and what was taken in each window, and what of both is in none that is known."""
    given, taken = sums.by_window_of(edge.given), sums.by_window_of(edge.taken)
    unknown = [
        sum_of_totals([sums.of(terms).total, negated(known.whole)])
        for terms, known in ((edge.given, given), (edge.taken, taken))
    ]
    return given, taken, unknown


def _named(odd: Iterable[Odd]) -> tuple[Example, ...]:
    return tuple(Example(*one) for one in itertools.islice(odd, MOST_EXAMPLES))


def ends_of(edge: LedgerEdge, step_of: Callable[[str], str]) -> EdgeFound:
    """Returns an edge between steps of the report, or within one of them between its parts."""
    producers, consumer = tuple(dict.fromkeys(map(step_of, edge.producers))), step_of(edge.consumer)
    if producers == (consumer,):
        return EdgeFound(edge.producers, edge.consumer, within=consumer)
    passed = dict.fromkeys(map(step_of, edge.passed))
    return EdgeFound(producers, consumer, passed=tuple(one for one in passed if one not in producers))


def _is_all(difference: OriginSums, odd: Iterable[Odd]) -> bool:
    """Returns whether a difference is nothing but some origins."""
    rest = OriginSums()
    rest.merge(difference)
    for one in odd:
        alone = OriginSums()
        alone.add([one.origin])
        rest.merge(alone, -one.times)
    return rest.is_zero


def _step(step: LedgerStep, sums: PointSums, step_of: Callable[[str], str]) -> StepFound:
    given = {tag: sums.of(terms).count for tag, terms in step.given.items()}
    refused = given.pop(DEAD_TAG, 0)
    return StepFound(
        step.label,
        step.role,
        sums.of(step.taken).count if step.taken else None,
        sums.of(step.filtered).count,
        sums.of(step.refused).count if step.taken else refused,
        given,
        "" if step_of(step.label) == step.label else step_of(step.label),
    )
