"""A portable pipeline cut at stages: nothing upstream of them is left, and they take what a source gives.

What stays is downstream of a stage through main inputs; inside of one composite of Beam's, as a write,
through side inputs too. What such a step takes beside that is made elsewhere is kept, with all before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.typehints import typehints

from beam_obs.metrics.names import INNER_LEAF
from beam_obs.replay.letter_source import FindLetters, GiveRecords
from beam_obs.weaving import units
from beam_obs.weaving.portable_graph import PAR_DO_URN, PortableGraph
from beam_obs.weaving.units import find_units, is_of_beam
from beam_obs.weaving.weave_state import par_do_spec
from beam_obs.wrapper.refusal import DEAD_TAG

_IMPULSE_URN = common_urns.primitives.IMPULSE.urn
_FLATTEN_URN = common_urns.primitives.FLATTEN.urn
_AGGREGATES = (units.GROUP, units.COMBINE, units.COMBINE_BY_HAND)
_MAIN = "None"


@dataclasses.dataclass(frozen=True)
class LetterSteps:
    """What takes the place of all upstream of a stage.

    Args:
      find: takes an impulse, and gives what letters hold, each in its window and at its time.
      give: makes the records of it.
    """

    find: FindLetters
    give: GiveRecords


@dataclasses.dataclass(frozen=True)
class Cut:
    """A pipeline that was cut.

    Args:
      proto: what stays of it.
      labels: full labels of all that stays.
      aggregates: of the steps that make one result of many records: these are the replayed ones alone.
      merges: of the steps that took from elsewhere too, and do no more.
      left_out: of the steps that take what is replayed beside records that are not, and do not run.
    """

    proto: api.Pipeline
    labels: frozenset[str]
    aggregates: tuple[str, ...]
    merges: tuple[str, ...]
    left_out: tuple[str, ...]


def cut_pipeline(proto: api.Pipeline, sources: Mapping[str, LetterSteps]) -> Cut:
    """Returns a pipeline without what is upstream of stages only.

    Args:
      proto: the pipeline, with stand-ins for coders, as Beam reads it back; it is changed in place.
      sources: full label of a stage that is in it -> what gives the stage its elements.
    """
    graph = PortableGraph(proto)
    cuts = {_leaf_of_stage(graph, stage): stage for stage in sources}
    below, left_out = _downstream(graph, cuts)
    kept = below | _upstream(graph, _taken_from_elsewhere(graph, below, cuts), below)
    found = find_units(graph)
    evidence = {leaf for unit in found if unit.kind == units.OURS for leaf in graph.leaves(unit.node)}
    aggregates = [unit.node for unit in found if unit.kind in _AGGREGATES]
    aggregates = [node for node in aggregates if not below.isdisjoint(graph.leaves(node))]
    cut = Cut(
        proto,
        frozenset(_labels(graph, kept)),
        tuple(_labels(graph, [_shown(graph, node) for node in aggregates])),
        tuple(_labels(graph, _drop_branches(graph, below, kept) - evidence)),
        tuple(_labels(graph, left_out - kept - evidence)),
    )
    windowing = _global_windowing(graph)
    for leaf, stage in cuts.items():
        _put_in(graph, leaf, stage, sources[stage], windowing, kept)
    _prune(graph, kept)
    return cut


def letters_label(stage: str) -> str:
    """Returns the label of what gives a stage its dead letters.

    >>> letters_label("outer/parse")
    'letters of outer.parse'
    """
    return f"letters of {stage.replace('/', '.')}"


def _leaf_of_stage(graph: PortableGraph, stage: str) -> str:
    names = (stage, f"{stage}/{INNER_LEAF}")
    return next(
        node_id
        for node_id in graph.order
        if graph.node(node_id).unique_name in names and DEAD_TAG in graph.node(node_id).outputs
    )


def _labels(graph: PortableGraph, nodes: Iterable[str]) -> list[str]:
    return sorted({str(graph.node(node).unique_name) for node in nodes})


def _beside(graph: PortableGraph, leaf: str) -> frozenset[str]:
    """Returns the tags of the side inputs of a leaf."""
    node = graph.node(leaf)
    if node.spec.urn != PAR_DO_URN:
        return frozenset()
    return frozenset(api.ParDoPayload.FromString(node.spec.payload).side_inputs)


def _main_inputs(graph: PortableGraph, leaf: str) -> list[str]:
    beside = _beside(graph, leaf)
    return [pcoll for tag, pcoll in graph.node(leaf).inputs.items() if tag not in beside]


def _shown(graph: PortableGraph, node: str) -> str:
    """Returns the outermost composite of Beam's own that a step is in, else the step."""
    of_beam = [above for above in graph.ancestors(node) if is_of_beam(graph.python_type(above))]
    return of_beam[-1] if of_beam else node


def _downstream(graph: PortableGraph, cuts: Iterable[str]) -> tuple[set[str], set[str]]:
    """Returns the leaves that the cuts feed, themselves among them; and those that they feed beside records
    from elsewhere."""
    below, left_out = set[str](), set[str]()
    pending = list(cuts)
    while pending:
        leaf = pending.pop()
        if leaf in below:
            continue
        below.add(leaf)
        for pcoll in graph.node(leaf).outputs.values():
            for taker in graph.consumers.get(pcoll, ()):
                if pcoll in _main_inputs(graph, taker) or _starts_beside(graph, taker):
                    pending.append(taker)
                else:
                    left_out.add(taker)
    return below, left_out - below


def _starts_beside(graph: PortableGraph, leaf: str) -> bool:
    """Returns whether the main input of a leaf begins in the composite of Beam's that the leaf is in: what it
    works on comes by its side inputs, as in the last steps of a write."""
    of_beam = {above for above in graph.ancestors(leaf) if is_of_beam(graph.python_type(above))}
    roots = [above for above in _upstream(graph, _main_inputs(graph, leaf)) if not graph.node(above).inputs]
    return bool(roots) and all(not of_beam.isdisjoint(graph.ancestors(root)) for root in roots)


def _upstream(graph: PortableGraph, pcolls: Iterable[str], up_to: Collection[str] = frozenset()) -> set[str]:
    """Returns the leaves that PCollections are made by, and all before these, but for what is known."""
    found = set[str]()
    pending = list(pcolls)
    while pending:
        leaf = graph.producers.get(pending.pop())
        if leaf is not None and leaf not in found and leaf not in up_to:
            found.add(leaf)
            pending.extend(graph.node(leaf).inputs.values())
    return found


def _taken_from_elsewhere(graph: PortableGraph, below: set[str], cuts: Iterable[str]) -> set[str]:
    """Returns the PCollections that are taken beside, or by steps that work on what they take beside."""
    taken = set[str]()
    for leaf in below:
        beside = _beside(graph, leaf)
        inputs = graph.node(leaf).inputs
        main = [pcoll for tag, pcoll in inputs.items() if tag not in beside]
        taken.update(inputs[tag] for tag in beside)
        if leaf not in cuts and all(graph.producers.get(pcoll) not in below for pcoll in main):
            taken.update(main)
    return taken


def _drop_branches(graph: PortableGraph, below: set[str], kept: set[str]) -> set[str]:
    """Takes from each Flatten the inputs that nothing makes any more; returns those that lost one."""
    changed = set[str]()
    for leaf in below:
        node = graph.node(leaf)
        if node.spec.urn != _FLATTEN_URN:
            continue
        for tag in [tag for tag, pcoll in node.inputs.items() if graph.producers.get(pcoll) not in kept]:
            del node.inputs[tag]
            changed.add(leaf)
    return changed


def _global_windowing(graph: PortableGraph) -> str:
    """Returns the windowing that what begins a pipeline gives, an impulse or another."""
    return next(
        str(graph.parts.pcollections[pcoll].windowing_strategy_id)
        for node in graph.parts.transforms.values()
        if not node.inputs and not node.subtransforms
        for pcoll in node.outputs.values()
    )


def _put_in(
    graph: PortableGraph, leaf: str, stage: str, steps: LetterSteps, windowing: str, kept: set[str]
) -> None:
    """Puts the source of a stage's letters before it, in place of its input, or beside that."""
    (taken,) = _main_inputs(graph, leaf)
    (root,) = graph.proto.root_transform_ids
    like = graph.parts.pcollections[taken]
    is_made = graph.producers.get(taken) in kept
    name = letters_label(stage)
    around = f"{leaf}_letters"

    def step(label: str, spec: api.FunctionSpec, inputs: dict[str, str], output: str) -> str:
        node_id = f"{around}_{label}"
        node = graph.parts.transforms[node_id]
        node.unique_name = f"{name}/{label}"
        node.spec.CopyFrom(spec)
        if spec.urn == PAR_DO_URN:
            node.environment_id = graph.environment
        node.inputs.update(inputs)
        node.outputs[_MAIN] = output
        kept.add(node_id)
        return node_id

    def pcollection(suffix: str, coder: str, windowing_id: str) -> str:
        pcoll_id = f"{around}_{suffix}"
        pcoll = graph.parts.pcollections[pcoll_id]
        pcoll.CopyFrom(like)
        pcoll.unique_name, pcoll.coder_id, pcoll.windowing_strategy_id = pcoll_id, coder, windowing_id
        return pcoll_id

    start = pcollection("start", _stand_in(bytes), windowing)
    held = pcollection("held", _stand_in(typehints.Any), like.windowing_strategy_id)
    given = pcollection("given", like.coder_id, like.windowing_strategy_id)
    whole = graph.parts.transforms[around]
    whole.unique_name = name
    whole.spec.urn, whole.spec.payload = python_urns.GENERIC_COMPOSITE_TRANSFORM, name.encode()
    whole.outputs[_MAIN] = given
    whole.subtransforms.extend(
        (
            step("Impulse", api.FunctionSpec(urn=_IMPULSE_URN), {}, start),
            step("Find", par_do_spec(steps.find), {_MAIN: start}, held),
            step("Give", par_do_spec(steps.give), {_MAIN: held}, given),
        )
    )
    put_in = [around]
    if is_made:
        both = pcollection("both", like.coder_id, like.windowing_strategy_id)
        flatten = api.FunctionSpec(urn=_FLATTEN_URN)
        put_in.append(step("and others", flatten, {"0": taken, "1": given}, both))
        given = both
    for node_id in reversed(put_in):
        graph.node(root).subtransforms.insert(0, node_id)
    graph.replace_input(leaf, taken, given)


def _stand_in(kind: object) -> str:
    """Returns what stands for the coder of elements of a type, where Beam reads a pipeline back."""
    return str(pickler.dumps(kind), "ascii")


def _prune(graph: PortableGraph, kept: set[str]) -> None:
    """Takes out the leaves that are not kept, composites of nothing, and PCollections that nothing makes."""
    parts = graph.parts
    (root,) = graph.proto.root_transform_ids
    made = {pcoll for leaf in kept for pcoll in graph.node(leaf).outputs.values()}
    stays: set[str] = {root}

    def prune(node_id: str) -> bool:
        node = graph.node(node_id)
        children = [child for child in node.subtransforms if prune(child)]
        passes_on = not node.subtransforms and bool(node.outputs)
        passes_on = passes_on and set(node.outputs.values()) <= set(node.inputs.values()) & made
        del node.subtransforms[:]
        node.subtransforms.extend(children)
        if node_id in kept or children or passes_on:
            stays.add(node_id)
        return node_id in stays

    prune(root)
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
        if node.subtransforms:
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
