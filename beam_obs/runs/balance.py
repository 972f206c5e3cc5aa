"""The balance of a run: whether every record is accounted for, where not, and what nobody could check.

Five kinds of line, each two counts that were taken independently of each other:

- a stage: in = passed on + dead + filtered, where what was passed on is at most its outputs;
- an edge: what Beam counted on a PCollection = what each stage behind it took;
- an output: what a stage says it passed on, or refused, = what Beam counted on its PCollections, and what
  the committed manifests hold;
- a step that gives one for each, as a Map: what Beam counted before and behind it is the same;
- a step that brings elements together: what went in = what is in its groups + what came too late for them.

One element may give many outputs; that is no imbalance. An edge of which there are not two counts, and a step
that keeps records in state, or in itself until its bundle ends, is not checked, and named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beam_obs.metrics.names import is_within
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.records.number_text import counted
from beam_obs.records.weave_report import Gathering
from beam_obs.records.window_counts import WindowCounts
from beam_obs.runs.graph import Edge, Graph, Step
from beam_obs.runs.ledger import EdgeFound, Ledger

KEEPS_STATE = "it keeps records in state: what did not come out is there, or lost"
HOLDS_BACK = (
    "it gives records when its bundle ends: what it took and did not give is lost, or in what it gave"
)
MAY_DROP = "it may drop late records, and nothing counts them"
ENDED_BEFORE = "the run ended before its counts were committed"
NOT_WHOLE = "the runner lost counts of its own, and those shown were looked at in this process"
NOT_COUNTED = "the runner gave no count"
COUNTED_ONCE = "counted once, by Beam"
UNCLEAR = "the runner gave several counts that differ"
NOT_ENDED = "what it held at the end is not known"
MAY_MISS = "counts differ, and the runner may have lost those of a bundle"
NOT_COMMITTED = "its counts by window are not all committed"
INCOMPLETE = "the ledger is incomplete"

Windows = Mapping[str, Mapping[str, WindowCounts]]
"""By label of a step and by window: how many elements it took, and how many are in its groups."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One check.

    Args:
      where: the stage, or ``producer -> consumer``.
      left: what is compared, e.g. ``parse in``, and its count.
      right: with what, and its count.
      holds: whether they agree.
      right_is_exact: whether the count on the right was not told by the runner.
      may_drop: whether what is less on the right may have come too late for its window.
    """

    where: str
    left: tuple[str, int]
    right: tuple[str, int]
    holds: bool
    right_is_exact: bool = False
    may_drop: bool = False

    @property
    def text(self) -> str:
        """The check in one line.

        >>> Line("read -> parse", ("out of read", 10), ("into parse", 9), False).text
        'read -> parse: out of read 10, into parse 9 (1 lost)'
        """
        missing = self.left[1] - self.right[1]
        difference = "" if self.holds else f" ({abs(missing):,} {'lost' if missing > 0 else 'too many'})"
        return f"{self.where}: {self.left[0]} {self.left[1]:,}, {self.right[0]} {self.right[1]:,}{difference}"


@dataclasses.dataclass(frozen=True)
class Dropped:
    """Elements that came late for their window.

    Args:
      step: label of the step of the report that dropped them, or took them.
      count: how many.
      windows: how many of which window, as far as windows are told apart.
    """

    step: str
    count: int
    windows: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Balance:
    """All checks of a run.

    Args:
      lines: what was compared.
      unchecked: why nothing could be, or empty.
      edges: number of edges between steps, side inputs not among them.
      open_edges: producer and consumer -> why the edge between them was not checked.
      open_steps: step -> why it was not.
      dropped: what came too late.
      late: what came late, and was taken all the same.
      ledger: what sums of origins say.
      edges_by_origins: how many of the edges were checked by these.
    """

    lines: tuple[Line, ...]
    unchecked: str = ""
    edges: int = 0
    open_edges: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    open_steps: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()
    late: tuple[Dropped, ...] = ()
    ledger: Ledger = dataclasses.field(default_factory=Ledger)
    edges_by_origins: int = 0

    @property
    def holds(self) -> bool | None:
        """Whether every check holds, and the ledger; None where nothing could be checked."""
        if self.ledger.broken:
            return False
        return all(line.holds for line in self.lines) if self.lines else self.ledger.holds

    @property
    def broken(self) -> tuple[Line | EdgeFound, ...]:
        """The checks that do not hold: an edge is told by the ledger, where it has it."""
        told = {edge.where for edge in self.ledger.broken}
        lines = (line for line in self.lines if not line.holds and line.where not in told)
        return (*lines, *self.ledger.broken)

    def to_json(self) -> dict[str, Any]:
        """Returns the balance as kept in ``end.json``."""
        return {
            "holds": self.holds,
            "checked": len(self.lines),
            "edges": self.edges,
            "edges_checked": self.edges - len(self.open_edges) if self.holds is not None else 0,
            "edges_by_origins": self.edges_by_origins,
            "unchecked": self.unchecked,
            "unchecked_edges": [
                {"from": producer, "to": consumer, "reason": reason}
                for (producer, consumer), reason in self.open_edges.items()
            ],
            "unchecked_steps": [{"step": step, "reason": reason} for step, reason in self.open_steps.items()],
            "dropped": [dataclasses.asdict(dropped) for dropped in self.dropped],
            "late": [dataclasses.asdict(late) for late in self.late],
            "broken": [
                {"where": line.where, "left": list(line.left), "right": list(line.right), "text": line.text}
                for line in self.broken
            ],
        }


def step_around(label: str, steps: Iterable[str]) -> str:
    """Returns the step of a graph that a step is, or is in; its own label where there is none.

    >>> step_around("outer/group/inner", ["outer", "outer/group", "out"])
    'outer/group'
    """
    found = [step for step in steps if is_within(label, step)]
    return max(found, key=len) if found else label


def balance(
    graph: Graph | None,
    snapshot: Snapshot,
    kept: Mapping[str, int] | None = None,
    gatherings: Iterable[Gathering] = (),
    windows: Windows | None = None,
    noted: Iterable[Line] = (),
    has_ended_well: bool = True,
    ledger: Ledger | None = None,
) -> Balance:
    """Returns the balance of a run that has ended.

    Args:
      graph: the pipeline's graph, with the ids that the runner counted under; None where they are unknown.
      snapshot: the numbers of the run.
      kept: dead letters in the run's store by stage, for the stages that keep them there.
      gatherings: the steps that count what is in their groups.
      windows: what the committed manifests say of those whose elements may come too late.
      noted: checks of the files that writes noted.
      has_ended_well: whether the job ran to its end; if not, groups may be left that never came out.
      ledger: what sums of origins say, of what nobody else counts too.
    """
    checks = _Checks(graph, snapshot, kept or {}, has_ended_well, ledger or Ledger())
    for gathering in gatherings:
        checks.gather(gathering, (windows or {}).get(gathering.label, {}))
    if not snapshot.stages and not snapshot.elements:
        return checks.none("no counts: the runner gave none")
    if not has_ended_well:  # What a job had taken and not yet given is neither lost nor accounted for.
        return checks.none(ENDED_BEFORE)
    if snapshot.live:
        return checks.none(NOT_WHOLE)
    checks.stages()
    checks.edges()
    return checks.balance(noted)


class _Checks:
    """The checks of a run while they are made."""

    def __init__(
        self,
        graph: Graph | None,
        snapshot: Snapshot,
        kept: Mapping[str, int],
        has_ended_well: bool,
        ledger: Ledger,
    ) -> None:
        self._ledger = ledger
        self._snapshot = snapshot
        self._elements = snapshot.elements or {}
        self._kept = kept
        self._has_ended_well = has_ended_well
        self._steps = {step.label: step for step in graph.steps} if graph is not None else {}
        self._edges = [edge for edge in graph.edges if edge.consumers] if graph is not None else []
        self._gathered: list[str] = []
        """Labels of the steps whose groups were held against what went in."""
        self._may_drop: set[str] = set()
        """Labels of the steps in which something may be dropped as late."""
        self._checked: set[str] = set()
        """PCollections of which there were two counts, whoever takes them."""
        self._open_steps: dict[str, str] = {}
        self._open_edges: dict[tuple[str, str], str] = {}
        self._lines: list[Line] = []
        self._dropped: list[Dropped] = []
        self._late: list[Dropped] = []

    def none(self, reason: str) -> Balance:
        """Returns a balance without checks."""
        open_edges = dict.fromkeys(sorted(self._ends), reason)
        if self._ledger.holds is not None:
            reason, open_edges = "", self._open_by_ledger(open_edges)
            self._name_open_steps()
        return Balance(
            (),
            reason,
            len(self._ends),
            open_edges if not reason else {},
            self._open_steps,
            tuple(self._dropped),
            tuple(self._late),
            self._ledger,
            sum(self._ledger.checks(*ends) for ends in self._ends),
        )

    def _open_by_ledger(self, open_edges: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
        """Returns the edges that the ledger leaves open too."""
        return {ends: reason for ends, reason in open_edges.items() if not self._ledger.checks(*ends)}

    def balance(self, noted: Iterable[Line]) -> Balance:
        """Returns what was found."""
        for line in noted:
            self._note(line)
        if self._snapshot.may_miss:
            self._leave_unsure()
        self._leave_incomplete()
        self._name_open_steps()
        if not self._lines:
            return self.none("no stage, and nothing else to compare with")
        return Balance(
            tuple(self._lines),
            "",
            len(self._ends),
            self._open_by_ledger(self._open_edges),
            self._open_steps,
            tuple(self._dropped),
            tuple(self._late),
            self._ledger,
            sum(self._ledger.checks(*ends) for ends in self._ends),
        )

    def _note(self, line: Line) -> None:
        """Takes a check of the files of a write: what a stream has in none of them was late, or is lost."""
        missing = line.left[1] - line.right[1]
        if line.may_drop and missing > 0:
            self._open_steps[line.where] = (
                f"in no file that it noted, late or lost: {missing:,} of {counted(line.left[1], 'record')}"
            )
            return
        self._lines.append(line)
        if line.may_drop and line.holds:
            self._gathered.append(line.where)

    def _name_open_steps(self) -> None:
        """Names the steps that keep records or may drop some, of which nothing was held against anything."""
        for label, step in self._steps.items():
            ways = ((step.keeps_state, KEEPS_STATE), (step.holds_back, HOLDS_BACK), (step.may_drop, MAY_DROP))
            for parts, reason in ways:
                if not all(any(is_within(part, found) for found in self._gathered) for part in parts):
                    self._open_steps.setdefault(label, reason)

    def _leave_unsure(self) -> None:
        """Leaves out checks that fail where the runner may have lost counts: those it has are the least."""
        lines, self._lines = self._lines, []
        for line in lines:
            producer, is_edge, consumer = line.where.partition(" -> ")
            if line.holds or (line.right_is_exact and line.left[1] > line.right[1]):
                self._lines.append(line)
            elif is_edge:
                self._open_edges[producer, consumer] = MAY_MISS
            else:
                self._open_steps[line.where] = MAY_MISS

    def _leave_incomplete(self) -> None:
        """Leaves out edges of the ledger that lacks some at one end, where both ends were counted alike."""
        alike = {line.where: line.left[1] for line in self._lines if line.left[1] == line.right[1]}
        edges = []
        for edge in self._ledger.edges:
            reason = _why_incomplete(edge, alike.get(edge.where))
            if reason:
                edge = edge.unchecked(reason)
                self._open_edges[edge.producers[0], edge.consumer] = reason
            edges.append(edge)
        self._ledger = dataclasses.replace(self._ledger, edges=tuple(edges))

    @property
    def _ends(self) -> set[tuple[str, str]]:
        """Producer and consumer of each edge."""
        return {(edge.producer, consumer) for edge in self._edges for consumer in edge.consumers}

    # Steps that bring elements together.

    def gather(self, gathering: Gathering, windows: Mapping[str, WindowCounts]) -> None:
        """Holds what is in the groups of a step against what went in."""
        label = gathering.label
        step = step_around(label, self._steps)
        given = sum(self._snapshot.gathered.get(name, 0) for name in gathering.counted_by)
        late = {window: counts.late for window, counts in windows.items() if counts.late}
        if gathering.may_drop:
            self._may_drop.add(step)
        if gathering.obstacle:  # Its groups hold a record several times: no number of them is one of records.
            self._open_steps[step] = gathering.obstacle
            return
        if late:
            self._late.append(Dropped(step, sum(late.values()), late))
        if gathering.may_drop:
            taken_by_window, given_by_window = _in_all(windows)
            if not self._has_ended_well:
                self._open_steps[step] = NOT_ENDED
            elif self._is_other(given, given_by_window) or taken_by_window < given_by_window:
                self._open_steps[step] = NOT_COMMITTED
            else:
                self._gather_windows(label, step, windows)
                self._checked.update(gathering.taken)
            return
        counts = {pcollection: self._elements.get(pcollection) for pcollection in gathering.taken}
        unknown = [pcollection for pcollection, count in counts.items() if count is None]
        taken = sum(counts[pcollection] or 0 for pcollection in gathering.taken)
        if unknown:
            self._open_steps[step] = self._why_not_counted(unknown[0])
        elif taken > given and not self._has_ended_well:
            self._open_steps[step] = NOT_ENDED
        else:
            self._gathered.append(label)
            self._checked.update(gathering.taken)
            self._lines.append(Line(label, ("in", taken), ("in its groups", given), taken == given))

    def _is_other(self, told: int, committed: int) -> bool:
        """Returns whether the runner's count says that not all is committed that there was."""
        if self._snapshot.commits_lost:
            return True
        if self._snapshot.live:
            return False
        return told > committed if self._snapshot.may_miss else told != committed

    def _gather_windows(self, label: str, step: str, windows: Mapping[str, WindowCounts]) -> None:
        taken, given = _in_all(windows)
        missing = {window: counts.taken - counts.given for window, counts in windows.items()}
        # Of windows that merge, those that go in are not those that come out.
        by_window = {window: count for window, count in missing.items() if count > 0}
        if any(count < 0 for count in missing.values()):
            by_window = {}
        if taken > given:
            self._dropped.append(Dropped(step, taken - given, by_window))
        self._gathered.append(label)
        self._lines.append(Line(label, ("in", taken), ("in its groups + dropped as late", taken), True))

    # Stages.

    def stages(self) -> None:
        """Holds the counts of each stage against each other, and against Beam's."""
        for label, counts in self._snapshot.stages.items():
            step = self._steps.get(label)
            self._lines.extend(self._of_stage(label, counts, step))
            if step is not None and self._snapshot.elements is not None:
                self._outputs(step, counts)

    def _of_stage(self, label: str, counts: StageCounts, step: Step | None) -> Iterator[Line]:
        refused = counts.dead - counts.leftovers
        passed_on = counts.in_ - refused - counts.filtered - counts.combined
        if passed_on < 0:
            yield Line(label, ("in", counts.in_), ("dead + filtered", refused + counts.filtered), False)
        elif step is None or not step.keeps_state:
            accounted = min(passed_on, counts.out) + refused + counts.filtered + counts.combined
            what = "passed on + dead + filtered" + (" + combined" if counts.combined else "")
            yield Line(label, ("in", counts.in_), (what, accounted), passed_on <= counts.out)
        kept = self._kept.get(label)
        # Attempts may refuse a record more often than it was kept.
        if kept is not None and not self._snapshot.attempted:
            yield Line(
                label,
                ("dead", counts.dead),
                ("dead letters kept", kept),
                counts.dead == kept,
                right_is_exact=True,
            )

    def _outputs(self, step: Step, counts: StageCounts) -> None:
        found = [self._elements.get(id_) for id_ in step.outputs.values()]
        if step.all_outputs_known and found and None not in found:
            total = sum(count or 0 for count in found)
            self._checked.update(step.outputs.values())
            self._lines.append(
                Line(step.label, ("out", counts.out), ("counted by Beam", total), counts.out == total)
            )
        dead = self._elements.get(step.dead) if step.dead is not None else None
        if dead is not None:
            self._lines.append(
                Line(step.label, ("dead", counts.dead), ("counted by Beam", dead), counts.dead == dead)
            )

    # Edges.

    def edges(self) -> None:
        """Holds what steps give against what stages behind them take."""
        for step in self._steps.values():
            if step.gives_each_once and step.label not in self._snapshot.stages:
                self._of_one_each(step)
        for edge in self._edges:
            emitted = self._emitted(edge)
            for consumer in edge.consumers:
                taken = self._snapshot.stages.get(consumer)
                if emitted is not None and taken is not None and self._takes_all(consumer, taken):
                    self._lines.append(self._of_edge(edge.producer, consumer, emitted, taken))
                elif edge.id not in self._checked:
                    reason = COUNTED_ONCE if edge.id in self._elements else self._why_not_counted(edge.id)
                    self._open_edges.setdefault((edge.producer, consumer), reason)

    def _takes_all(self, consumer: str, taken: StageCounts) -> bool:
        """Returns whether a stage counts all that comes by an edge; what it drops before, the ledger has."""
        drops_before = consumer in self._may_drop and not taken.combined
        return len(self._steps[consumer].inputs) == 1 and not drops_before

    def _of_edge(self, producer: str, consumer: str, emitted: int, taken: StageCounts) -> Line:
        # A combine counts what it took when it comes out again.
        late = sum(dropped.count for dropped in self._dropped if taken.combined and dropped.step == consumer)
        what = f"into {consumer}" + (" + dropped as late" if late else "")
        return Line(
            f"{producer} -> {consumer}",
            (f"out of {producer}", emitted),
            (what, taken.in_ + late),
            emitted == taken.in_ + late,
        )

    def _of_one_each(self, step: Step) -> None:
        (before,), (behind,) = step.inputs, step.outputs.values()
        taken, given = self._elements.get(before), self._elements.get(behind)
        if taken is not None and given is not None:
            self._checked.update((before, behind))
            self._lines.append(Line(step.label, ("in", taken), ("out", given), taken == given))

    def _emitted(self, edge: Edge) -> int | None:
        emitted = self._elements.get(edge.id)
        step = self._steps[edge.producer]
        producer = self._snapshot.stages.get(edge.producer)
        if emitted is None and producer is not None and step.all_outputs_known and len(step.outputs) == 1:
            return producer.out
        return emitted

    def _why_not_counted(self, pcollection: str) -> str:
        return UNCLEAR if pcollection in self._snapshot.unclear else NOT_COUNTED


def _why_incomplete(edge: EdgeFound, count: int | None) -> str:
    """Returns what the ledger lacks of an edge at one end, where counts of both are alike; else nothing.

    Where it has others, or more, it is no row of the ledger that is missing.
    """
    lacking = [end for end in (edge.left, edge.right) if count is not None and end[1] < count]
    if edge.holds or edge.late or len(lacking) != 1 or max(edge.given, edge.taken) != count:
        return ""
    ((what, number),) = lacking
    return f"{INCOMPLETE}: {what} it has {number:,}, and {count:,} were counted at both ends"


def _in_all(windows: Mapping[str, WindowCounts]) -> tuple[int, int]:
    """Returns what went in, and what is in what came out."""
    return sum(one.taken for one in windows.values()), sum(one.given for one in windows.values())
