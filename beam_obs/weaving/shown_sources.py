"""Sources inside of composites of Beam's whose records are the user's: they leave the composite.

Most of what starts inside of a composite of Beam's stays there, such as the names of files that it looks for,
or the default of an aggregate, and is no source.
"""

from __future__ import annotations

from beam_obs.weaving import units
from beam_obs.weaving.frames import is_frame_read
from beam_obs.weaving.located_reads import reads_ranges
from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.weaving.units import is_internal, is_of_beam
from beam_obs.weaving.weave_state import WeaveState

_COMBINE_GLOBALLY = "apache_beam.transforms.core.CombineGlobally"


def find_shown_sources(weave: WeaveState) -> frozenset[str]:
    """Returns the steps inside of composites of Beam's that start what leaves the composite as records.

    Args:
      weave: the weave, before anything is woven.
    """
    return frozenset(
        node_id
        for unit in weave.units
        if is_internal(weave.graph, unit.node)
        for node_id in _starting(weave, unit.node, unit.kind)
        if _leaves_beam(weave, node_id)
    )


def _starting(weave: WeaveState, node_id: str, kind: str) -> list[str]:
    if kind == units.SOURCE:
        return [node_id]
    if kind != units.IMPULSE:
        return []
    given = weave.graph.node(node_id).outputs.values()
    return [leaf for pcoll in given for leaf in weave.graph.consumers.get(pcoll, ())]


def _leaves_beam(weave: WeaveState, node_id: str) -> bool:
    graph = weave.graph
    of_beam = [above for above in graph.ancestors(node_id) if is_of_beam(graph.python_type(above))]
    inside = set(graph.leaves(of_beam[-1]))
    pending, seen = list(graph.given_outside(node_id)), set[str]()
    while pending:
        pcoll = pending.pop()
        if pcoll in seen:
            continue
        seen.add(pcoll)
        for leaf in graph.consumers.get(pcoll, ()):
            if leaf not in inside:
                return True
            if not _starts_anew(weave, leaf, pcoll):
                pending.extend(graph.node(leaf).outputs.values())
    return False


def _starts_anew(weave: WeaveState, leaf: str, taken: str) -> bool:
    """Returns whether what a step gives has nothing of what it takes: it reads files, or gives a default."""
    node, graph = weave.graph.node(leaf), weave.graph
    if node.spec.urn != PAR_DO_URN:
        return False
    beside = weave.facts(leaf).payload.side_inputs
    if all(tag in beside for tag, pcoll in node.inputs.items() if pcoll == taken):
        return True
    if reads_ranges(weave, leaf) or is_frame_read(weave, leaf):
        return True
    return puts_in_default(graph, leaf)


def puts_in_default(graph: PortableGraph, leaf: str) -> bool:
    """Returns whether a step is that of a CombineGlobally which gives its side input, or else a default."""
    parent = graph.parents.get(leaf)
    is_default = str(graph.node(leaf).unique_name).endswith("/InjectDefault")
    return is_default and parent is not None and graph.python_type(parent) == _COMBINE_GLOBALLY
