"""What of a pipeline stays where records are replayed: the steps that they flow through, and what these need.

Records flow through main inputs; inside of one composite of Beam's, as a write, through side inputs too. What
a step takes beside that is made elsewhere stays, with all before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

from beam_obs.weaving import units
from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.weaving.units import Unit, find_units, is_of_beam

FLATTEN_URN = common_urns.primitives.FLATTEN.urn
MAIN = "None"
"""Tag of the one output of a step."""

_AGGREGATES = (units.GROUP, units.COMBINE, units.COMBINE_BY_HAND)


@dataclasses.dataclass(frozen=True)
class Cut:
    """A pipeline that was cut.

    Args:
      proto: what stays of it.
      labels: full labels of all that stays.
      aggregates: of the steps whose results are of many records, or of those before: here of the replayed
        ones alone.
      side_readers: of the steps that take as a side input what is made of replayed records.
      merges: of the steps that took from elsewhere too, and do no more.
      left_out: of the steps that take what is replayed beside records that are not, and do not run.
    """

    proto: api.Pipeline
    labels: frozenset[str]
    aggregates: tuple[str, ...]
    side_readers: tuple[str, ...]
    merges: tuple[str, ...]
    left_out: tuple[str, ...]


class Flow:
    """Where replayed records flow in a pipeline, and what is kept of it.

    Args:
      graph: the pipeline.
      through: the leaves that they flow through.
      given: those of them whose main input is put in from outside.
      readers: leaves that read no others than replayed records.

    Attributes:
      through: as given.
      kept: the leaves that stay.
    """

    def __init__(
        self,
        graph: PortableGraph,
        through: set[str],
        given: Collection[str] = (),
        readers: Collection[str] = (),
    ) -> None:
        self.through = through
        self._replayed = through.union(readers)
        self.kept = through | upstream(graph, _taken_from_elsewhere(graph, through, given), through)
        self._graph = graph
        self._units = find_units(graph)
        ours = [unit.node for unit in self._units if unit.kind == units.OURS]
        self._evidence = {leaf for node in ours for leaf in graph.leaves(node)}
        self._keep_evidence()

    def _keep_evidence(self) -> None:
        pending = list(self.kept)
        while pending:
            for pcoll in self._graph.node(pending.pop()).outputs.values():
                new = self._evidence.intersection(self._graph.consumers.get(pcoll, ())) - self.kept
                self.kept |= new
                pending.extend(new)

    def aggregates(self, among: Collection[str]) -> list[str]:
        """Returns the labels of the steps among these leaves whose results are of more than one record."""
        found = [unit.node for unit in self._units if _is_aggregate(self._graph, unit)]
        found = [node for node in found if not set(among).isdisjoint(self._graph.leaves(node))]
        return _labels(self._graph, [_shown(self._graph, node) for node in found])

    def cut(self, left_out: set[str]) -> Cut:
        """Takes from each Flatten what does not flow any more; returns the pipeline, yet to be pruned.

        Args:
          left_out: leaves that take what is replayed beside what is not.
        """
        graph = self._graph
        return Cut(
            graph.proto,
            frozenset(_labels(graph, self.kept)),
            tuple(self.aggregates(self.through)),
            tuple(_labels(graph, self._side_readers())),
            tuple(_labels(graph, self._drop_branches())),
            tuple(_labels(graph, left_out - self.kept - self._evidence)),
        )

    def _side_readers(self) -> set[str]:
        graph = self._graph
        return {
            leaf
            for leaf in self.through - self._evidence
            if not _composites_of_beam(graph, leaf)
            for tag in _beside(graph, leaf)
            if not self._replayed.isdisjoint(upstream(graph, [graph.node(leaf).inputs[tag]]))
        }

    def _drop_branches(self) -> set[str]:
        """Takes from each Flatten the inputs that replayed records do not come by, but for what begins in the
        composite of Beam's around it; returns those that lost one."""
        graph, changed = self._graph, set[str]()
        for leaf in self.through - self._evidence:
            node = graph.node(leaf)
            if node.spec.urn != FLATTEN_URN:
                continue
            around = _composites_of_beam(graph, leaf)
            for tag, pcoll in list(node.inputs.items()):
                producer = graph.producers.get(pcoll, "")
                is_inside = producer in self.kept and not around.isdisjoint(graph.ancestors(producer))
                if producer not in self.through and not is_inside:
                    del node.inputs[tag]
                    changed.add(leaf)
        return changed


def main_inputs(graph: PortableGraph, leaf: str) -> list[str]:
    """Returns the PCollections whose elements a leaf takes one by one."""
    beside = _beside(graph, leaf)
    return [pcoll for tag, pcoll in graph.node(leaf).inputs.items() if tag not in beside]


def downstream(graph: PortableGraph, first: Iterable[str]) -> tuple[set[str], set[str]]:
    """Returns the leaves that some feed, themselves among them; and those that they feed beside records from
    elsewhere."""
    below, left_out = set[str](), set[str]()
    pending = list(first)
    while pending:
        leaf = pending.pop()
        if leaf in below:
            continue
        below.add(leaf)
        for pcoll in graph.node(leaf).outputs.values():
            for taker in graph.consumers.get(pcoll, ()):
                if pcoll in main_inputs(graph, taker) or _starts_beside(graph, taker):
                    pending.append(taker)
                else:
                    left_out.add(taker)
    return below, left_out - below


def upstream(graph: PortableGraph, pcolls: Iterable[str], up_to: Collection[str] = frozenset()) -> set[str]:
    """Returns the leaves that PCollections are made by, and all before these, but for what is known."""
    found = set[str]()
    pending = list(pcolls)
    while pending:
        leaf = graph.producers.get(pending.pop())
        if leaf is not None and leaf not in found and leaf not in up_to:
            found.add(leaf)
            pending.extend(graph.node(leaf).inputs.values())
    return found


def prune(graph: PortableGraph, kept: set[str]) -> None:
    """Takes out the leaves that are not kept, composites of nothing, and PCollections that nothing makes."""
    parts = graph.parts
    (root,) = graph.proto.root_transform_ids
    made = {pcoll for leaf in kept for pcoll in graph.node(leaf).outputs.values()}
    stays: set[str] = {root}

    def look(node_id: str) -> bool:
        node = graph.node(node_id)
        children = [child for child in node.subtransforms if look(child)]
        passes_on = not node.subtransforms and bool(node.outputs)
        passes_on = passes_on and set(node.outputs.values()) <= set(node.inputs.values()) & made
        del node.subtransforms[:]
        node.subtransforms.extend(children)
        if node_id in kept or children or passes_on:
            stays.add(node_id)
        return node_id in stays

    look(root)
    for node_id in list(parts.transforms):
        if node_id not in stays:
            del parts.transforms[node_id]
    for pcoll in list(parts.pcollections):
        if pcoll not in made:
            del parts.pcollections[pcoll]
    for node_id in stays:
        node = graph.node(node_id)
        for ends in (node.inputs, node.outputs):
            for tag in [tag for tag, pcoll in ends.items() if pcoll not in made]:
                del ends[tag]
    for node_id in stays:
        if graph.node(node_id).subtransforms:
            _take_from_outside(graph, node_id)


def _take_from_outside(graph: PortableGraph, node_id: str) -> None:
    """Lets a composite take what the steps in it take, and no more."""
    node = graph.node(node_id)
    leaves = graph.leaves(node_id)
    made = {pcoll for leaf in leaves for pcoll in graph.node(leaf).outputs.values()}
    taken = {pcoll for leaf in leaves for pcoll in graph.node(leaf).inputs.values()} - made
    for tag in [tag for tag, pcoll in node.inputs.items() if pcoll not in taken]:
        del node.inputs[tag]
    for pcoll in sorted(taken - set(node.inputs.values())):
        node.inputs[f"replayed {len(node.inputs)}"] = pcoll


def _is_aggregate(graph: PortableGraph, unit: Unit) -> bool:
    if unit.kind != units.PAR_DO:
        return unit.kind in _AGGREGATES
    payload = api.ParDoPayload.FromString(graph.node(unit.node).spec.payload)
    return bool(payload.state_specs or payload.timer_family_specs)


def _labels(graph: PortableGraph, nodes: Iterable[str]) -> list[str]:
    return sorted({str(graph.node(node).unique_name) for node in nodes})


def _beside(graph: PortableGraph, leaf: str) -> frozenset[str]:
    """Returns the tags of the side inputs of a leaf."""
    node = graph.node(leaf)
    if node.spec.urn != PAR_DO_URN:
        return frozenset()
    return frozenset(api.ParDoPayload.FromString(node.spec.payload).side_inputs)


def _composites_of_beam(graph: PortableGraph, node: str) -> set[str]:
    return {above for above in graph.ancestors(node) if is_of_beam(graph.python_type(above))}


def _shown(graph: PortableGraph, node: str) -> str:
    """Returns the outermost composite of Beam's own that a step is in, else the step."""
    of_beam = _composites_of_beam(graph, node)
    return next((above for above in reversed(list(graph.ancestors(node))) if above in of_beam), node)


def _starts_beside(graph: PortableGraph, leaf: str) -> bool:
    """Returns whether the main input of a leaf begins in the composite of Beam's that the leaf is in: what it
    works on comes by its side inputs, as in the last steps of a write."""
    of_beam = _composites_of_beam(graph, leaf)
    roots = [above for above in upstream(graph, main_inputs(graph, leaf)) if not graph.node(above).inputs]
    return bool(roots) and all(not of_beam.isdisjoint(graph.ancestors(root)) for root in roots)


def _taken_from_elsewhere(graph: PortableGraph, through: set[str], given: Collection[str]) -> set[str]:
    """Returns the PCollections that are taken beside, or by steps that work on what they take beside."""
    taken = set[str]()
    for leaf in through:
        beside = _beside(graph, leaf)
        inputs = graph.node(leaf).inputs
        main = [pcoll for tag, pcoll in inputs.items() if tag not in beside]
        taken.update(inputs[tag] for tag in beside)
        if leaf not in given and all(graph.producers.get(pcoll) not in through for pcoll in main):
            taken.update(main)
    return taken
