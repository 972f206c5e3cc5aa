"""The ledger as the weave lays it out: which steps count what passes them, and what is held against what.

What a step gives is followed to each step that counts what it takes, through what gives each element once: a
Flatten, a WindowInto, a reshuffle, and the steps that the weave puts in between. In between nothing may be
lost, doubled or exchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from apache_beam.portability import common_urns, python_urns
from apache_beam.transforms.window import FixedWindows, GlobalWindows, SlidingWindows

from beam_obs.records.ledger_rows import StepPoints, Terms
from beam_obs.records.weave_report import IN_NO_WINDOW, SOURCE, LedgerEdge, LedgerStep
from beam_obs.weaving import units
from beam_obs.weaving.gatherings import NO_RECORDS, is_in_one_window
from beam_obs.weaving.par_do import ParDoFacts
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.weave_state import LedgerInput, LedgerOutput, WeaveState, par_do_spec
from beam_obs.woven.counted_windowing import WindowIntoDoFn
from beam_obs.wrapper.element_forms import PLAIN, SEED
from beam_obs.wrapper.step_tally import LEDGER_TAG

NOT_COUNTED = "what it gives is not counted"
NO_LINEAGE = "it carries no lineage"
SOME_REFUSED = "it may refuse some of what it takes"
OVERLAPS = "a record may be in several of its windows, which are not told there"
HOT = "of hot keys half is put into windows anew"
MERGING = "its windows merge"
OF_ANOTHER_KIND = "its windows are of a kind of their own"
WINDOWED_ANEW = "in between it is put into other windows"
_FLATTEN = common_urns.primitives.FLATTEN.urn
_WINDOW = common_urns.primitives.ASSIGN_WINDOWS.urn


def points_of(weave: WeaveState, node_id: str, facts: ParDoFacts) -> StepPoints | None:
    """Returns the points of a ParDo; None of one whose elements may stand for several others."""
    has_sums = (
        facts.takes_batches
        or facts.gives_batches
        or facts.is_inference
        or facts.passes_summaries
        or _is_of_hot_keys(weave, node_id)
        # There what is splittable can have but one output.
        or (facts.is_splittable and not weave.settings.splits_reads)
    )
    if has_sums or not weave.keeps_ledger:
        return None
    tags = sorted(tag for tag in weave.graph.node(node_id).outputs if tag != "None")
    points = weave.new_points(tags)._replace(is_first=_is_first(weave, node_id))
    taken = _main_input(weave, node_id)
    windowed = _in_windows_of(weave, taken, points)
    if not windowed.window_micros:
        return points
    told_by = 0
    if weave.settings.fuses_steps and not windowed.in_several:
        told_by = weave.windows_told.get(taken, 0)
    return windowed._replace(told_by=told_by or points.first, window_fn=weave.windowing(taken).windowfn)


def _in_windows_of(weave: WeaveState, pcoll: str, points: StepPoints) -> StepPoints:
    """Returns points with what is known of the windows of a PCollection."""
    fn = weave.windowing(pcoll).windowfn
    if type(fn) not in (FixedWindows, SlidingWindows):
        return points
    return points._replace(window_micros=fn.size.micros, in_several=type(fn) is SlidingWindows)


def _is_of_hot_keys(weave: WeaveState, node_id: str) -> bool:
    return any(weave.graph.python_type(above) == units.HOT_KEYS for above in weave.graph.ancestors(node_id))


def has_windows(weave: WeaveState, pcoll: str) -> bool:
    """Returns whether the ledger has the elements of a PCollection by window: those that they are in do not
    change, and there are few."""
    return _in_windows_of(weave, pcoll, StepPoints(1)).window_micros > 0


def _is_first(weave: WeaveState, node_id: str) -> bool:
    """Returns whether what a step takes comes by a shuffle, or from several steps."""
    maker = weave.graph.producers.get(_main_input(weave, node_id))
    unit = None if maker is None else weave.unit_at(maker)
    return unit is None or (unit.kind != units.PAR_DO and maker not in weave.windowing_steps)


def settle_points(points: StepPoints | None, woven: Any, facts: ParDoFacts) -> StepPoints | None:
    """Returns the points of a ParDo as its process function counts; None where that counts nothing."""
    tally = woven.tally
    if points is None or tally is None or not (tally.has_taken or tally.has_given):
        return None
    if not tally.has_taken or facts.is_splittable:
        points = points._replace(told_by=0)
    return points._replace(gives_given=tally.gives_given)


def note_points(weave: WeaveState, node_id: str, points: StepPoints, woven: Any, source: str | None) -> None:
    """Notes what a ParDo counts, and lets its rows leave.

    Args:
      weave: the weave.
      node_id: the step, whose ends are as they will be but for the rows.
      points: its points.
      woven: its DoFn.
      source: label of the source that its records come from, where they come into being in it.
    """
    node, label = weave.graph.node(node_id), source or weave.shown_label(node_id)
    tally = woven.tally
    given: dict[str, Terms] = {}
    if tally.has_given:
        for tag in sorted(node.outputs):
            if tag == "None":
                given[tag] = points.given
            elif tag in points.tags:
                given[tag] = points.given_to(tag)
    has_taken = tally.has_taken and not weave.facts(node_id).is_splittable
    if has_taken:
        main = _main_input(weave, node_id)
        weave.taken_by[node_id] = LedgerInput(label, points.taken, main, in_each_window=points.tells_windows)
    for tag, terms in given.items():
        weave.given_to[node.outputs[tag]] = LedgerOutput(label, terms, points.tells_windows)
        if points.told_by and not points.in_several and not weave.facts(node_id).holds_back:
            weave.windows_told[node.outputs[tag]] = points.told_by
    weave.report.ledger_steps.append(
        LedgerStep(
            label,
            points.taken if has_taken else (),
            points.filtered if has_taken and tally.has_given else (),
            points.refused if has_taken else (),
            given,
            SOURCE if source else "",
        )
    )
    node.outputs[LEDGER_TAG] = weave.ledger_rows(next(iter(sorted(node.outputs.values()))), label)


def tally_step(
    weave: WeaveState,
    dofn: Any,
    label: str,
    given: str | None,
    outputs: dict[str, str],
    role: str = "",
    told_by: int | None = 0,
    windows_of: str | None = None,
    makes_groups: bool = False,
) -> None:
    """Lets a step of the weave's own making, not yet put in, count what it gives.

    Args:
      weave: the weave.
      dofn: of the step, which has `Tallying`.
      label: of the step.
      given: the PCollection that it gives; None where it gives none to anybody.
      outputs: of the step, to which that of the rows is added.
      role: of the step in the ledger, if any.
      told_by: first point of the step that tells in which windows elements are; None where it is itself.
      windows_of: a PCollection that has these windows, where the step gives none.
      makes_groups: whether it tells which windows are over.
    """
    if not weave.keeps_ledger:
        return
    points = weave.new_points()._replace(gives_given=True)
    like = given or windows_of
    if told_by != 0 and like is not None:
        points = _in_windows_of(weave, like, points)
        points = points._replace(told_by=points.first if told_by is None else told_by)
    dofn.points = points
    outputs[LEDGER_TAG] = weave.ledger_rows(next(iter(outputs.values())), label)
    if given is not None:
        weave.given_to[given] = LedgerOutput(label, points.given, points.tells_windows)
        if points.told_by and not points.in_several:
            weave.windows_told[given] = points.told_by
    given_by_tag = {} if given is None else {"None": points.given}
    taken = points.taken if role != SOURCE else ()
    over = points.over if makes_groups and points.tells_windows else ()
    weave.report.ledger_steps.append(LedgerStep(label, taken, given=given_by_tag, role=role, over=over))


def note_taken(
    weave: WeaveState,
    node_id: str,
    points: StepPoints,
    taken: str,
    label: str,
    obstacle: str = "",
    may_drop: bool = False,
) -> None:
    """Notes that a step of the weave's own making counts what comes by a PCollection."""
    weave.taken_by[node_id] = LedgerInput(
        label, points.taken, taken, obstacle, may_drop, points.tells_windows
    )


def tally_windowing(weave: WeaveState, node_id: str, form: str) -> bool:
    """Lets a WindowInto count by the windows before and behind it, where there are any; returns whether it
    does. A step of the weave's own stands for it then.

    Args:
      weave: the weave.
      node_id: the WindowInto, whose ends are as they will be.
      form: of its elements.
    """
    node, label = weave.graph.node(node_id), weave.shown_label(node_id)
    (taken,), (given,) = node.inputs.values(), node.outputs.values()
    window_fn = weave.windowing(given).windowfn
    before = _in_windows_of(weave, taken, StepPoints(1)).window_micros
    if not weave.keeps_ledger or not (before or has_windows(weave, given)) or not _is_known(window_fn):
        return False
    dofn, outputs = WindowIntoDoFn(window_fn, form), {"None": given}
    tally_step(weave, dofn, label, given, outputs, told_by=None)
    assert dofn.points is not None
    dofn.points = dofn.points._replace(micros_before=before)
    node.spec.CopyFrom(par_do_spec(dofn))
    node.environment_id = weave.graph.environment
    del node.outputs[next(iter(node.outputs))]
    for tag, pcoll in outputs.items():
        node.outputs[tag] = pcoll
    weave.says[node_id] = dofn.ends
    weave.windowing_steps.add(node_id)
    note_taken(weave, node_id, dofn.points, taken, label)
    return True


def _is_known(window_fn: Any) -> bool:
    return type(window_fn) in (GlobalWindows, FixedWindows, SlidingWindows)


def note_ledger(weave: WeaveState) -> None:
    """Notes in the report what the ledger holds against what."""
    if weave.keeps_ledger:
        edges = _Edges(weave)
        weave.report.ledger_edges.extend(edges.into(node_id) for node_id in weave.taken_by)


class _Given(NamedTuple):
    """What is given to a PCollection.

    Args:
      producers: labels of the steps that give it.
      terms: what they give.
      obstacle: why that is not known, or empty.
      passed: labels of the steps that it passes, which give each element once.
      is_windowed_anew: whether one of them puts elements into other windows.
    """

    producers: tuple[str, ...]
    terms: Terms = ()
    obstacle: str = ""
    passed: tuple[str, ...] = ()
    is_windowed_anew: bool = False


class _Edges:
    """What steps give to those that count what they take.

    Args:
      weave: the weave, all but done.
    """

    def __init__(self, weave: WeaveState) -> None:
        self._weave = weave
        graph = weave.graph
        self._makers = {
            pcoll: leaf
            for root in graph.proto.root_transform_ids
            for leaf in graph.leaves(root)
            for pcoll in graph.node(leaf).outputs.values()
            if pcoll not in graph.node(leaf).inputs.values()
        }
        self._known: dict[str, _Given] = {}

    def into(self, node_id: str) -> LedgerEdge:
        """Returns what is given to a step and what it takes."""
        label, taken, pcoll, obstacle, may_drop, in_each_window = self._weave.taken_by[node_id]
        given = self._to(pcoll)
        # A combine with hot keys puts half of what it takes into windows anew, by its time.
        is_hot = _is_of_hot_keys(self._weave, node_id)
        if self._overlaps(pcoll) and (is_hot or not in_each_window):
            obstacle = obstacle or (HOT if is_hot else OVERLAPS)
        whole = HOT if is_hot else WINDOWED_ANEW if given.is_windowed_anew else self._in_no_windows(pcoll)
        return LedgerEdge(
            given.producers,
            label,
            given.terms,
            taken,
            obstacle or given.obstacle,
            may_drop,
            given.passed,
            not whole,
            whole,
            self._weave.windowing(pcoll).allowed_lateness.micros,
        )

    def _overlaps(self, pcoll: str) -> bool:
        """Returns whether an element may be in several windows."""
        return not is_in_one_window(self._weave.windowing(pcoll).windowfn)

    def _in_no_windows(self, pcoll: str) -> str:
        """Returns why elements are in no windows that the ledger has, or an empty text."""
        if has_windows(self._weave, pcoll):
            return ""
        window_fn = self._weave.windowing(pcoll).windowfn
        if isinstance(window_fn, GlobalWindows):
            return IN_NO_WINDOW
        return MERGING if window_fn.is_merging() else OF_ANOTHER_KIND

    def _to(self, pcoll: str) -> _Given:
        if pcoll not in self._known:
            self._known[pcoll] = self._found(pcoll)
        return self._known[pcoll]

    def _found(self, pcoll: str) -> _Given:
        weave, graph = self._weave, self._weave.graph
        maker = self._makers[pcoll]
        label = weave.shown_label(maker)
        if pcoll in weave.given_to:
            label, terms, in_each_window = weave.given_to[pcoll]
            is_known = in_each_window or not self._overlaps(pcoll)
            return _Given((label,), terms, "" if is_known else OVERLAPS)
        form = weave.form(pcoll)
        if form in (SEED, PLAIN):
            return _Given((label,), obstacle=NO_RECORDS if form == SEED else NO_LINEAGE)
        node, unit = graph.node(maker), weave.unit_at(maker)
        if node.spec.urn == _FLATTEN:
            return _together([self._to(taken) for _, taken in sorted(node.inputs.items())], label)
        if node.spec.urn == _WINDOW:
            taken = _main_input(weave, maker)
            if self._overlaps(taken) or self._overlaps(pcoll):
                return _Given((label,), obstacle=OVERLAPS)
            return _passing(self._to(taken), label, has_windows(weave, taken))
        if maker in weave.passing or self._is_key_with_none(maker):
            return self._to(_main_input(weave, maker))
        if unit is not None and unit.kind in units.RESHUFFLES:
            (taken,) = graph.node(unit.node).inputs.values()
            return _passing(self._to(taken), weave.label(unit.node))
        return _Given((label,), obstacle=NOT_COUNTED)

    def _is_key_with_none(self, maker: str) -> bool:
        original = self._weave.original.components.transforms
        if maker not in original or original[maker].spec.urn != PAR_DO_URN:
            return False
        facts = self._weave.facts(maker)
        return bool(facts.payload.do_fn.urn == python_urns.KEY_WITH_NONE_DOFN)


def _main_input(weave: WeaveState, node_id: str) -> str:
    node = weave.graph.node(node_id)
    beside: Iterable[str] = ()
    if node.spec.urn == PAR_DO_URN and node_id in weave.original.components.transforms:
        beside = weave.facts(node_id).payload.side_inputs
    (main,) = [pcoll for tag, pcoll in node.inputs.items() if tag not in beside]
    return str(main)


def _together(parts: list[_Given], label: str) -> _Given:
    """Returns what is given to a Flatten."""
    producers = tuple(dict.fromkeys(one for part in parts for one in part.producers))
    obstacle = next((part.obstacle for part in parts if part.obstacle), "")
    terms = () if obstacle else tuple(term for part in parts for term in part.terms)
    passed = tuple(dict.fromkeys(one for part in parts for one in part.passed))
    is_anew = any(part.is_windowed_anew for part in parts)
    return _passing(_Given(producers, terms, obstacle, passed, is_anew), label)


def _passing(given: _Given, label: str, is_windowed_anew: bool = False) -> _Given:
    """Returns what is given, behind a step that it passes."""
    return given._replace(
        passed=(*given.passed, label), is_windowed_anew=given.is_windowed_anew or is_windowed_anew
    )
