"""Which steps made the last spans that the elements of a PCollection have: the parents of the next ones.

Only origins travel between workers, so that a parent is known behind a shuffle where its id follows from the
origin: at a step that has one element of each origin, which all elements have passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apache_beam.transforms.trigger import DefaultTrigger

from beam_obs.traces.traced_step import MET_SOURCE, TracedStep
from beam_obs.weaving import units
from beam_obs.weaving.gatherings import is_in_one_window
from beam_obs.weaving.span_givers import SpanGivers, together
from beam_obs.wrapper.element_forms import KEYED, MEMBERS, WOVEN
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.user_callable import FILTER, MAP, MAP_TUPLE, user_callable

if TYPE_CHECKING:
    from beam_obs.weaving.portable_graph import PortableGraph
    from beam_obs.weaving.units import Unit
    from beam_obs.weaving.weave_state import WeaveState

_PASSING_ON = units.RESHUFFLES | {units.FLATTEN, units.WINDOW}
_MAKING_NEW = frozenset({units.GROUP, units.COMBINE, units.COMBINE_BY_HAND})
"""Behind these elements may have origins of which nothing was known before."""
_GIVING_ONE = frozenset({MAP, MAP_TUPLE, FILTER})


def note_span_givers(weave: WeaveState, unit: Unit, reads_files: bool, reads_frames: bool) -> None:
    """Notes them for what a unit gives, before it is woven.

    Args:
      weave: the weave.
      unit: of it.
      reads_files: whether it reads files whose names it takes.
      reads_frames: whether it reads frames, of which there are no spans.
    """
    graph = weave.graph
    taken = graph.taken_from_outside(unit.node)
    before = together([weave.span_givers[pcoll] for pcoll in taken if pcoll in weave.span_givers])
    given = list(graph.given_outside(unit.node))
    label = weave.shown_label(unit.node)
    if reads_frames:
        givers = SpanGivers(roots=before.roots)
    elif reads_files or not any(weave.form(pcoll) in (WOVEN, KEYED, MEMBERS) for pcoll in taken):
        label, roots = units.source_label(graph, unit.node), before.roots or frozenset({unit.node})
        id_label = MET_SOURCE if roots & weave.met_roots else label
        givers = SpanGivers(sources=frozenset({label}), passed=(id_label,), roots=roots)
    elif unit.kind in _PASSING_ON:
        is_split = unit.kind == units.WINDOW and not is_in_one_window(weave.windowing(given[0]).windowfn)
        givers = before._replace(are_many=before.are_many or is_split)
    elif _only_orders(weave, unit, given):
        givers = before
    else:
        # Below the first step that has several of one origin, spans have ids that do not follow from it.
        passed = () if _may_make_new(weave, unit) else before.passed
        if not before.are_many and not (unit.kind == units.PAR_DO and weave.facts(unit.node).is_splittable):
            passed = (*passed, label)
        are_many = before.are_many or _may_make_many(weave, unit)
        givers = SpanGivers(frozenset({label}), frozenset(), passed, before.roots, are_many)
    for pcoll in given:
        weave.span_givers[pcoll] = givers


def traced_source(weave: WeaveState, given: str) -> TracedStep | None:
    """Returns how the records of a source are traced; None where they are not.

    Args:
      weave: the weave.
      given: a PCollection that it gives.
    """
    traces, givers = weave.settings.traces, weave.span_givers.get(given)
    if traces is None or givers is None or not givers.sources:
        return None
    (id_label,) = givers.passed
    (label,) = givers.sources
    return TracedStep(label, traces, common=id_label, continues=weave.reads_messages)


def met_roots(graph: PortableGraph, found: list[Unit]) -> frozenset[str]:
    """Returns the steps at the beginning of ways that meet others in a Flatten.

    Args:
      graph: of the pipeline.
      found: its units, in order.
    """
    roots: dict[str, frozenset[str]] = {}
    met: set[str] = set()
    for unit in found:
        taken = [roots[pcoll] for pcoll in graph.taken_from_outside(unit.node) if pcoll in roots]
        whole = frozenset().union(*taken) or frozenset({unit.node})
        if unit.kind == units.FLATTEN and len(set(taken)) > 1:
            met |= whole
        for pcoll in graph.given_outside(unit.node):
            roots[pcoll] = whole
    return frozenset(met)


def _only_orders(weave: WeaveState, unit: Unit, given: list[str]) -> bool:
    """Returns whether a unit has no spans, since elements only come in another order by it: members of groups
    that are chosen, and lists for RunInference."""
    if unit.kind == units.GROUP:
        return weave.takers_choose(given[0])
    if unit.kind != units.PAR_DO:
        return False
    facts = weave.facts(unit.node)
    return facts.chooses or (facts.is_batching and weave.only_inference_takes(given[0]))


def _may_make_new(weave: WeaveState, unit: Unit) -> bool:
    """Returns whether what a unit gives may have origins of its own."""
    if unit.kind != units.PAR_DO:
        return unit.kind in _MAKING_NEW
    facts = weave.facts(unit.node)
    holds = facts.holds_back or facts.is_batching or (facts.is_stateful and facts.remembers)
    return holds or facts.takes_batches or facts.is_inference


def _may_make_many(weave: WeaveState, unit: Unit) -> bool:
    """Returns whether a unit may give several elements of one origin, where it takes one."""
    if unit.kind == units.PAR_DO:
        dofn = innermost(weave.facts(unit.node).dofn)
        gives_one = dofn is not None and user_callable(dofn).kind in _GIVING_ONE
        return not gives_one and not getattr(dofn, "gives_one", False)
    taken = list(weave.graph.taken_from_outside(unit.node))
    return any(not isinstance(weave.windowing(pcoll).triggerfn, DefaultTrigger) for pcoll in taken)
