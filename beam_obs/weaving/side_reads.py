"""Which steps read records as side inputs, and of whom: there an origin ends without a trace.

The graph of the report has edges between its steps. Within one of them, or beside a main input from the same
step, a side input shows in the pipeline itself alone.
"""

from __future__ import annotations

from beam_obs.weaving import units
from beam_obs.weaving.portable_graph import PAR_DO_URN
from beam_obs.weaving.shown_sources import puts_in_default
from beam_obs.weaving.units import is_internal
from beam_obs.weaving.weave_state import WeaveState


def find_side_reads(weave: WeaveState) -> dict[str, list[str]]:
    """Returns, by label of a step, those that read what it gives of records as a side input.

    Args:
      weave: the weave, before anything is woven; it knows its shown sources.
    """
    graph = weave.graph
    found: dict[str, set[str]] = {}
    for unit in weave.units:
        if unit.kind == units.OURS:
            continue
        outside = set(graph.taken_from_outside(unit.node))
        for leaf in graph.leaves(unit.node):
            if graph.node(leaf).spec.urn != PAR_DO_URN or puts_in_default(graph, leaf):
                continue
            for tag in weave.facts(leaf).payload.side_inputs:
                pcoll = graph.node(leaf).inputs[tag]
                if pcoll in outside and pcoll in graph.producers and _holds_records(weave, pcoll):
                    found.setdefault(weave.label(graph.producers[pcoll]), set()).add(weave.label(leaf))
    return {label: sorted(readers) for label, readers in sorted(found.items())}


def _holds_records(weave: WeaveState, pcoll: str) -> bool:
    """Returns whether what a PCollection holds may be made of records, and not only of what starts within a
    composite of Beam's and stays there."""
    graph = weave.graph
    pending, seen = [pcoll], set[str]()
    while pending:
        maker = graph.producers.get(pending.pop())
        if maker is None or maker in seen:
            continue
        seen.add(maker)
        unit = weave.unit_of[maker]
        if unit.kind == units.LOCATED_READ:
            return True
        beside = weave.facts(maker).payload.side_inputs if graph.node(maker).spec.urn == PAR_DO_URN else ()
        taken = [one for tag, one in graph.node(maker).inputs.items() if tag not in beside]
        starts = unit.kind == units.SOURCE or any(_is_impulse(weave, one) for one in taken)
        if starts and not {unit.node, maker}.isdisjoint(weave.shown_sources):
            return True
        if starts and not is_internal(graph, unit.node):
            return True
        pending.extend(taken)
    return False


def _is_impulse(weave: WeaveState, pcoll: str) -> bool:
    maker = weave.graph.producers.get(pcoll)
    return maker is not None and weave.unit_of[maker].kind == units.IMPULSE
